#pragma once

#include "base/result.hpp"
#include "domain/sbom.hpp"
#include "ports/job_context.hpp"
#include "ports/registry.hpp"

#include <vector>

namespace builder::ports {

/// Who has put an image together, and may have left a list of its content.
enum class ImageMaker { dockerfile, buildpacks };

/// Finds out what is in images that are in the registry. Thread-safe.
class SbomSource {
 public:
  virtual ~SbomSource() = default;
  /// Whether every image is described; otherwise those alone that buildpacks described.
  [[nodiscard]] virtual bool describes_all() const = 0;
  /// The images of an index, each of which has a content of its own, or the one.
  /// Errors: as of `Registry`.
  virtual Result<std::vector<PublishedImage>> images(const JobContext& job,
                                                     const PublishedImage& image) = 0;
  /// What is in one of them. Empty: nobody says. It takes seconds, and minutes for a large one.
  /// Errors: as of `Registry`; `conflict`: it cannot be found out; `unavailable`, `timed_out`,
  /// `cancelled`. With `Error::setting` where the operator has to mend it.
  virtual Result<std::vector<domain::Sbom>> read(const JobContext& job, const PublishedImage& image,
                                                 ImageMaker maker) = 0;
};

}  // namespace builder::ports
