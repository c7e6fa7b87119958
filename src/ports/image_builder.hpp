#pragma once

#include "base/result.hpp"
#include "domain/build_event.hpp"
#include "domain/ids.hpp"
#include "ports/job_context.hpp"
#include "ports/source_tree.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace builder::ports {

/// One image to build from a Dockerfile.
struct ImageSpec {
  domain::ServiceId service_id;  ///< Names the context's incremental copy at the engine.
  std::shared_ptr<const SourceTree> context;  ///< Shared with the session's transfer threads.
  std::string dockerfile;                     ///< Path inside the context.
  std::string name;  ///< `host/repository:tag` the result gets at the engine.
};

struct BuiltImage {
  std::string name;           ///< As asked for.
  std::string config_digest;  ///< `sha256:…` of the image configuration.
  std::uint64_t context_bytes_sent = 0;
};

class ImageBuilder {
 public:
  virtual ~ImageBuilder() = default;
  /// Connects ahead of the build, so that the connection costs no time later. Optional to call;
  /// failures show up in `build`. Returns at once.
  virtual void prepare(const JobContext& job) = 0;
  /// Builds one linux/amd64 image; steps, output and warnings go to `events` in order.
  /// Errors: `build_failed` with the customer's line (file, line, command, exit code),
  /// `unavailable` when the engine is away or was lost, `timed_out`, `cancelled` (the build's
  /// processes are gone or being killed by the engine when this returns).
  virtual Result<BuiltImage> build(const JobContext& job, const ImageSpec& image,
                                   domain::EventSink& events) = 0;
};

}  // namespace builder::ports
