#pragma once

#include "base/result.hpp"
#include "domain/ids.hpp"
#include "domain/image_layers.hpp"
#include "ports/job_context.hpp"

#include <chrono>
#include <optional>
#include <string>

namespace builder::ports {

/// Where the images of one service go: `host[:port]/path`, no tag.
struct Repository {
  std::string uri;

  /// The registry: what stands before the first slash.
  [[nodiscard]] std::string host() const { return uri.substr(0, uri.find('/')); }

  /// What stands behind it.
  [[nodiscard]] std::string path() const {
    const auto slash = uri.find('/');
    return slash == std::string::npos ? std::string() : uri.substr(slash + 1);
  }
};

/// An image that is in the registry under the deployment's own tag.
struct PublishedImage {
  Repository repository;
  std::string tag;
  std::string digest;  ///< `sha256:…` of the manifest at the registry.
};

/// For a probe that tells whose trouble a failure is: every image's, or this one's.
inline constexpr std::chrono::seconds k_probe_limit{10};

/// The registry the platform pulls from. Every method retries what its peer says may be retried,
/// is safe to repeat and is called for several deployments at once.
/// Errors: `denied` (our configuration), `unavailable`/`timed_out` after the retries, `cancelled`;
/// with `Error::setting` where it is not this deployment's image that is refused.
class Registry {
 public:
  virtual ~Registry() = default;
  /// The service's repository, created with its lifecycle policy when it does not exist. Its login
  /// is at hand when this returns.
  virtual Result<Repository> ensure_repository(const JobContext& job,
                                               const domain::ServiceId& service) = 0;
  /// The registry says that a repository ensured before is not there: it is made again.
  virtual Result<> restore_repository(const JobContext& job, const Repository& repository) = 0;
  /// The service's repository; nullopt: there is none. Nothing is made.
  virtual Result<std::optional<Repository>> find_repository(const JobContext& job,
                                                            const domain::ServiceId& service) = 0;
  /// What is there under a tag; nullopt: nothing.
  virtual Result<std::optional<PublishedImage>> find(const JobContext& job,
                                                     const Repository& repository,
                                                     const std::string& tag) = 0;
  /// Puts an image that is in the repository, by its digest, under `image.tag` as well.
  /// `not_found`: it is not there (any more).
  virtual Result<> add_tag(const JobContext& job, const PublishedImage& image) = 0;
  /// Makes `latest` point to the published image: one manifest, no engine. The last step of a
  /// deployment. No try begins behind a stop. Returns what that manifest says of the layers.
  virtual Result<domain::ImageLayers> promote(const JobContext& job,
                                              const PublishedImage& image) = 0;
  /// Whether it would take an image now, as far as it can be asked: the login, an answer that is a
  /// registry's, and what it refused last.
  virtual Result<> probe(const JobContext& job) = 0;
};

}  // namespace builder::ports
