#pragma once

#include "adapters/buildkit/client/solver.hpp"
#include "adapters/oci/client.hpp"
#include "base/result.hpp"
#include "base/sync.hpp"
#include "domain/sbom.hpp"
#include "ports/job_context.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::sbom {

/// Runs a scanner image over the files of an image, by BuildKit's protocol:
/// https://docs.docker.com/build/metadata/attestations/sbom-protocol/
///
/// The scanner is the operator's. What it reads is a stranger's, so it has no network, no secret
/// and no login, it cannot change the image, and what it says is not believed but for the content
/// of the image. Thread-safe.
class Scanner {
 public:
  /// `scanner` is an image reference. The others outlive it.
  Scanner(std::string scanner, buildkit::Solver& solver, oci::Client& client)
      : scanner_(std::move(scanner)), solver_(solver), client_(client) {}

  /// `image` is one for one platform. Errors: see `ports::SbomSource::read`.
  Result<std::vector<domain::Sbom>> scan(const ports::JobContext& job, const oci::Image& image);

 private:
  /// How the scanner is started, as its own configuration says.
  struct Start {
    std::vector<std::string> arguments;
    std::vector<std::string> environment;
    std::string folder;
  };

  Result<buildkit::ImageCommand> command(const ports::JobContext& job);
  static Result<Start> read_start(const std::string& config);

  const std::string scanner_;
  buildkit::Solver& solver_;
  oci::Client& client_;
  Sync<std::map<std::string, Start>> known_;  ///< By the digest of the scanner's image.
};

}  // namespace builder::adapters::sbom
