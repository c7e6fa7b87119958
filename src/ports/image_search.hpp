#pragma once

#include "base/result.hpp"
#include "domain/image_findings.hpp"
#include "domain/image_secrets.hpp"
#include "ports/job_context.hpp"
#include "ports/registry.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace builder::ports {

struct ImageSearchSpec {
  PublishedImage image;
  const domain::SoughtSecrets& sought;
  /// Layers that were searched before, with what was found: they are not fetched.
  const domain::FoundInLayers& known;
  /// Gives the text of the Dockerfile it was built from, when something is found; nothing where
  /// there is none, or it is not known.
  std::function<std::string()> dockerfile = [] { return std::string(); };
  /// Called now and then while bytes come.
  std::function<void()> alive = [] {};
};

struct ImageSearchReport {
  std::vector<domain::ImageFinding> findings;
  std::size_t layers = 0;       ///< Of the image; of several in an index, the most.
  domain::FoundInLayers found;  ///< Of the image's layers, those that are searched whole by now.
  std::uint64_t bytes = 0;      ///< Unpacked, that were searched this time.
  std::vector<std::string> not_searched;  ///< "layer 2 of 5: …", for the operator.
  std::vector<std::string> unreached;     ///< Digests of those of them for which time was short.
};

/// Looks for secrets in an image that is in the registry: in the files of its layers, whatever
/// their names and also if a later layer takes them away, and in its configuration, labels and
/// history.
class ImageSearch {
 public:
  virtual ~ImageSearch() = default;
  /// The top layers go first; what is not searched by the job's deadline is told in the report.
  /// Errors: the registry does not give manifest or configuration (as of `Registry`), `cancelled`.
  /// Called for several deployments at once.
  virtual Result<ImageSearchReport> search(const JobContext& job, const ImageSearchSpec& spec) = 0;
};

}  // namespace builder::ports
