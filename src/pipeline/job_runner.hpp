#pragma once

#include "base/log.hpp"
#include "base/secret_store.hpp"
#include "domain/deployment_request.hpp"
#include "pipeline/deployment_channel.hpp"
#include "pipeline/metrics.hpp"
#include "ports/deployment_reporter.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"
#include "ports/registry.hpp"
#include "ports/source_fetcher.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

namespace builder::pipeline {

enum class ImageReference {
  automatic,  ///< `tag` when one image is kept, else `digest`.
  tag,        ///< The bare repository URI, which means `latest`.
  digest,     ///< `repository@sha256:…`.
};

struct JobSettings {
  std::string github_url = "https://github.com";
  std::chrono::seconds build_timeout{1800};
  /// How long a BUILDING status is repeated while the API is away; then the job is given back.
  std::chrono::seconds building_patience{120};
  /// How long a final status is repeated.
  std::chrono::seconds final_patience{24 * 3600};
  ImageReference image_reference = ImageReference::automatic;
  int keep_images = 1;
  ChannelLimits channel;
};

/// How a deployment ended, and with it what becomes of its job.
enum class Outcome {
  builded,
  failed,
  cancelled,
  superseded,
  given_back,  ///< Not ended: the job goes back to the head of the queue.
  gone,        ///< The platform no longer knows the deployment; nothing to report to.
  refused,     ///< The platform refuses our API key: give back, and stop taking jobs for a while.
};

std::string_view to_string(Outcome outcome);

/// Runs one deployment from its request to its final status: source, context, image, registry,
/// report. Knows neither Redis nor HTTP. Thread-safe: one object serves all slots.
class JobRunner {
 public:
  struct Ports {
    ports::SourceFetcher& source;
    ports::ImageBuilder& image;
    ports::Registry& registry;
    ports::DeploymentReporter& reporter;
  };

  /// `abort` ends even the delivery of final statuses: the process is about to end.
  JobRunner(Ports ports, JobSettings settings, SecretStore& secrets, Metrics& metrics, Log log,
            std::stop_token abort)
      : ports_(ports),
        settings_(std::move(settings)),
        secrets_(secrets),
        metrics_(metrics),
        log_(std::move(log)),
        abort_(std::move(abort)) {}

  /// Never throws; every failure ends in a reported status or in `given_back`. Calls `settle` once,
  /// as soon as the outcome stands; cleaning up follows.
  void run(const domain::DeploymentRequest& request, ports::JobCancellation& cancellation,
           const std::function<void(Outcome)>& settle);

  /// Reports a job that cannot be run at all (malformed) as FAILED with its customer line.
  Outcome reject(const domain::DeploymentId& deployment, const Error& error);

  /// Reports CANCELLED for a deployment that was never run: cancelled or superseded in the queue.
  Outcome cancel(const domain::DeploymentId& deployment, ports::StopReason reason);

 private:
  Outcome report(const domain::DeploymentId& deployment, const ports::StatusUpdate& update);

  Ports ports_;
  JobSettings settings_;
  SecretStore& secrets_;
  Metrics& metrics_;
  Log log_;
  const std::stop_token abort_;
};

}  // namespace builder::pipeline
