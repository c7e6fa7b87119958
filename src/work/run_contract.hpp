#pragma once

#include "base/backoff.hpp"
#include "base/secret.hpp"
#include "build/step_contract.hpp"
#include "domain/cache_namespaces.hpp"
#include "report/channel_limits.hpp"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace builder::ports {
class Attestations;
class BuildHistory;
class BuildLimits;
class DeploymentReporter;
class ImageSearch;
class SbomSource;
}  // namespace builder::ports

namespace builder::work {

enum class ImageReference {
  automatic,  ///< `tag` when one image is kept, else `digest`.
  tag,        ///< The bare repository URI, which means `latest`.
  digest,     ///< `repository@sha256:…`.
};

/// What the run of one deployment is told by the operator, whose settings have their defaults in
/// the configuration, and the times that nobody sets.
struct JobSettings {
  build::StepSettings steps;
  std::string engine;   ///< What builds, for the log.
  std::string version;  ///< Of this program, for the history.
  std::string worker;   ///< `host:pid`, for the history.
  /// What an image depends on, for the history: see `ports::RunStart`.
  std::vector<std::pair<std::string, std::string>> image_settings;
  std::chrono::seconds build_timeout{0};
  /// A build that neither prints nor computes for so long is stopped; 0: never.
  std::chrono::seconds silence_timeout{0};
  /// Between two attempts of the run in place. The few there are outlast a short absence of a peer.
  BackoffPolicy repeat_backoff{.base = std::chrono::seconds(10), .cap = std::chrono::seconds(60)};
  /// How long a BUILDING status is repeated while the API is away; then the job is given back.
  std::chrono::seconds building_patience{120};
  /// How long a final status is repeated.
  std::chrono::seconds final_patience{24 * 3600};
  /// How long one of another worker's is repeated before it is left again.
  std::chrono::seconds adopted_patience{60};
  /// How long no jobs are taken after one met what only the operator can mend; doubles each time.
  std::chrono::milliseconds first_fault_pause{5'000};
  std::string help_url;  ///< Of pages about failures, by their kind; empty: none.
  ImageReference image_reference{};
  int keep_images = 0;
  Secret cache_key;  ///< The platform's: see `domain::cache_namespaces`.
  report::ChannelLimits channel;
};

/// Whom the run of one deployment talks to; all of them outlive it.
struct RunPorts {
  ports::SourceFetcher& source;
  ports::ImageBuilder& image;
  ports::BuildpacksBuilder& buildpacks;
  ports::Registry& registry;
  ports::DeploymentReporter& reporter;
  ports::JobQueue& queue;
  const ports::BuildLimits* limits = nullptr;   ///< Null: nobody counts what builds use.
  ports::BuildHistory* history = nullptr;       ///< Null: none is kept.
  ports::ImageSearch* search = nullptr;         ///< Null: no image is searched.
  ports::Attestations* attestations = nullptr;  ///< Null: nothing is attached to an image.
  ports::SbomSource* sboms = nullptr;           ///< Null: no image is described.
};

}  // namespace builder::work
