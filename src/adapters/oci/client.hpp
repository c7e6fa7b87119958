#pragma once

#include "adapters/http/client.hpp"
#include "adapters/oci/reference.hpp"
#include "base/backoff.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "domain/image_layers.hpp"
#include "domain/platform_name.hpp"
#include "ports/job_context.hpp"
#include "ports/registry_login.hpp"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace builder::adapters::oci {

/// A manifest or an index, byte for byte: its digest is its name.
struct Manifest {
  std::string bytes;
  std::string media_type;
  std::string digest;
};

/// The layers of an image's manifest. Empty: it is none, or does not say their sizes.
domain::ImageLayers layers_of(const Manifest& manifest);

/// The platform in the configuration (JSON) of an image: `linux/arm/v7`; empty: it does not say.
std::string platform_of_config(std::string_view config);

struct Descriptor {
  std::string digest;
  std::string media_type;
};

/// What a registry says of a manifest that it took.
struct Stored {
  /// It lists the manifest among the referrers of its `subject` (`OCI-Subject`).
  bool lists_subject = false;
};

/// One image for one platform with its configuration.
struct Image {
  Reference reference;  ///< By the digest of what was named: an index, where there is one.
  Manifest manifest;    ///< The image's own, chosen out of an index.
  std::string config;   ///< JSON; its digest is checked.
};

struct ClientSettings {
  /// Busy and absent registries are asked this often.
  int attempts = 6;
  BackoffPolicy backoff{.base = std::chrono::milliseconds(500),
                        .cap = std::chrono::milliseconds(20'000)};
};

/// Takes a large blob as it comes.
struct BlobTaker {
  std::function<void()> begin;                 ///< The first byte is next, also of another try.
  std::function<bool(std::string_view)> take;  ///< False ends it with `internal`.
};

/// The part of the OCI distribution protocol that makes no layers: manifests and configurations.
/// For `latest`, which is a manifest under another name, for reading base images before a build,
/// and for looking into what was pushed.
///
/// Every login comes from `RegistryLogins` by the registry's host and goes to that host only, or to
/// a token service `may_show_login` accepts. Basic and Bearer; what a host asked for is remembered,
/// tokens are kept while they live, a refused login is renewed once. TLS except where
/// `is_plain_http` says. Answers are bounded, digests checked; redirects (where registries keep
/// their blobs) are followed without the login.
///
/// Errors: `not_found`, `denied` (login missing, wrong or not sufficient), `conflict` (immutable
/// tag), `unavailable`/`timed_out` after the retries, `cancelled`, `internal` (a registry that
/// breaks the protocol). The message holds the registry's own words. Thread-safe.
class Client {
 public:
  virtual ~Client() = default;
  /// Whether a registry answers at `host`, and takes our login.
  virtual Result<> ping(const ports::JobContext& job, const std::string& host) = 0;
  virtual Result<Manifest> manifest(const ports::JobContext& job, const Reference& reference) = 0;
  /// Whether it is there, and what it is.
  virtual Result<Descriptor> head(const ports::JobContext& job, const Reference& reference) = 0;
  /// Puts the manifest under the reference's digest, or its tag where there is none, and makes sure
  /// that it is there as it was sent.
  virtual Result<Stored> put(const ports::JobContext& job, const Reference& reference,
                             const Manifest& manifest) = 0;
  /// The index of what refers to `reference.digest`, its first page. `not_found`: the registry has
  /// no such lists (it is older than version 1.1 of the protocol).
  virtual Result<Manifest> referrers(const ports::JobContext& job, const Reference& reference) = 0;
  /// A small blob of the reference's repository; `internal` when it is larger than `limit`.
  virtual Result<std::string> blob(const ports::JobContext& job, const Reference& reference,
                                   const std::string& digest, std::size_t limit) = 0;
  /// A blob of any size; its digest is not checked. Ends with the job's deadline, or when nothing
  /// comes for a while.
  virtual Result<> stream_blob(const ports::JobContext& job, const Reference& reference,
                               const std::string& digest, const BlobTaker& taker) = 0;
  /// Uploads a small blob into the reference's repository: needs the right to push, and leaves what
  /// no image refers to, for the registry to clear away.
  virtual Result<> push_blob(const ports::JobContext& job, const Reference& reference,
                             const std::string& bytes) = 0;
  /// The image a reference means, out of an index if need be that for the platform, and its
  /// configuration. `not_found` when an index has none.
  Result<Image> image(const ports::JobContext& job, const Reference& reference,
                      std::string_view platform = domain::k_default_platform);
  /// Every image a reference means: those of an index, whatever they are for, or the one. What an
  /// index holds beside images (papers of BuildKit's) is passed over.
  Result<std::vector<Image>> images(const ports::JobContext& job, const Reference& reference);

 private:
  Result<Image> with_config(const ports::JobContext& job, const Reference& reference,
                            Manifest manifest);
};

/// `http` and `logins` outlive the client.
std::unique_ptr<Client> make_client(ClientSettings settings, http::Client& http,
                                    ports::RegistryLogins& logins, Log log);

}  // namespace builder::adapters::oci
