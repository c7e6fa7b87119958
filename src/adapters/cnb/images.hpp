#pragma once

#include "adapters/oci/client.hpp"
#include "base/sync.hpp"
#include "domain/buildpacks/builder_image.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"
#include "ports/registry.hpp"

#include <map>
#include <string>
#include <vector>

namespace builder::adapters::cnb {

/// A builder image as it is at its registry now.
struct ResolvedBuilder {
  std::string name;           ///< As it was asked for.
  std::string pinned;         ///< By digest, as an engine reads it.
  domain::BaseImage version;  ///< The digest under the name with its tag.
  domain::buildpacks::BuilderImage image;
};

/// The error of a builder that is for other machines.
Error no_variant(const std::string& builder, const std::string& platform);

/// Looks up what a build needs before it starts, so that wrong names and logins are found in a
/// moment and with clear words. What a builder says about itself is kept by its digest: the next
/// build asks for the digest only. Thread-safe.
class Images {
 public:
  /// `client` outlives it.
  explicit Images(oci::Client& client) : client_(client) {}

  /// As its registry has it now, or as it is pinned. Of one that is no index `image.platform` may
  /// be another. Errors with the customer's line; which image it is about is named.
  Result<ResolvedBuilder> builder(const ports::JobContext& job, const std::string& name,
                                  const std::string& platform, const ports::ImagePins& pins = {});

  /// The first of the candidates that can be read, as it was named, and as its registry has it now
  /// or as it is pinned.
  struct RunImage {
    std::string name;
    domain::BaseImage version;
  };

  Result<RunImage> run_image(const ports::JobContext& job,
                             const std::vector<std::string>& candidates, const std::string& builder,
                             const ports::ImagePins& pins = {});
  /// The image the service runs, `repository@digest`: what `latest` means for the platform. Empty:
  /// there is none; the lifecycle would take the layers of one for another.
  Result<std::string> previous(const ports::JobContext& job, const ports::Repository& repository,
                               const std::string& platform);

 private:
  Result<domain::buildpacks::BuilderImage> described(const ports::JobContext& job,
                                                     const oci::Reference& pinned,
                                                     const std::string& name,
                                                     const std::string& platform);

  oci::Client& client_;
  Sync<std::map<std::string, domain::buildpacks::BuilderImage>>
      known_;  ///< By digest and platform.
};

}  // namespace builder::adapters::cnb
