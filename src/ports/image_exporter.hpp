#pragma once

#include "base/result.hpp"
#include "domain/build_event.hpp"
#include "ports/byte_sink.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"

#include <cstdint>
#include <string>

namespace builder::ports {

/// What a build leaves when it does not go to a registry.
enum class Archive {
  oci,     ///< An OCI image layout, in a tar.
  docker,  ///< What `docker load` takes.
  files,   ///< The files of the image alone, in a tar.
};

struct ExportedImage {
  /// `sha256:…`: of a loaded image its ID at the engine, else of the manifest; empty where there is
  /// none.
  std::string digest;
  std::uint64_t size = 0;  ///< Of a loaded image, in bytes; 0: not known.
  std::uint64_t context_bytes_sent = 0;
};

/// Builds one image and leaves it on this machine. Its name is `image.repository.uri` and
/// `image.tag`; no registry is asked for more than base images. Errors as of
/// `ImageBuilder::publish`; `invalid_input` where the engine cannot do it.
class ImageExporter {
 public:
  virtual ~ImageExporter() = default;
  /// Whether it can, before anything is built; the error says what can be done instead.
  virtual Result<> can_load(const JobContext& job) = 0;
  virtual Result<> can_write(const JobContext& job, Archive archive) = 0;
  /// Leaves the image in a Docker Engine.
  virtual Result<ExportedImage> load(const JobContext& job, const ImageSpec& image,
                                     domain::EventSink& events) = 0;
  /// Writes it to `sink`.
  virtual Result<ExportedImage> write(const JobContext& job, const ImageSpec& image,
                                      Archive archive, ByteSink& sink,
                                      domain::EventSink& events) = 0;
};

}  // namespace builder::ports
