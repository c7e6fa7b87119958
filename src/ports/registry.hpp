#pragma once

#include "base/result.hpp"
#include "domain/build_event.hpp"
#include "domain/ids.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"

#include <string>

namespace builder::ports {

/// Where the images of one service go: `host[:port]/path`, no tag.
struct Repository {
  std::string uri;
};

struct PublishedImage {
  Repository repository;
  std::string tag;
  std::string digest;  ///< `sha256:…` of the manifest at the registry.
  std::uint64_t bytes_pushed = 0;
};

/// The registry the platform pulls from. Every method retries what its peer says may be retried,
/// is safe to repeat and is called for several deployments at once.
/// Errors: `denied` (our configuration), `unavailable`/`timed_out` after the retries, `cancelled`.
class Registry {
 public:
  virtual ~Registry() = default;
  /// The service's repository, created with its lifecycle policy when it does not exist.
  virtual Result<Repository> ensure_repository(const JobContext& job,
                                               const domain::ServiceId& service) = 0;
  /// Pushes a built image (named `<repository.uri>:<tag>` at the engine).
  virtual Result<PublishedImage> push(const JobContext& job, const Repository& repository,
                                      const std::string& tag, domain::EventSink& events) = 0;
  /// Makes `latest` point to the published image. The last step of a deployment.
  virtual Result<> promote(const JobContext& job, const PublishedImage& image) = 0;
  /// Removes what earlier and failed builds left at the engine for this repository, keeping
  /// `latest`. Best effort, off the critical path.
  virtual void clean_up(const JobContext& job, const Repository& repository,
                        const std::string& tag) = 0;
};

}  // namespace builder::ports
