#pragma once

#include "base/backoff.hpp"
#include "base/keyed_hash.hpp"
#include "base/log.hpp"
#include "base/secret_store.hpp"
#include "domain/cache_namespaces.hpp"
#include "domain/deployment_request.hpp"
#include "pipeline/build_plan.hpp"
#include "pipeline/deployment_channel.hpp"
#include "pipeline/metrics.hpp"
#include "pipeline/operator_faults.hpp"
#include "ports/build_limits.hpp"
#include "ports/buildpacks_builder.hpp"
#include "ports/deployment_reporter.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"
#include "ports/job_queue.hpp"
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
  std::string engine;  ///< What builds, for the log.
  std::chrono::seconds build_timeout{1800};
  std::chrono::seconds fetch_timeout{600};
  /// A build that neither prints nor computes for so long is stopped; 0: never.
  std::chrono::seconds silence_timeout{600};
  /// Of one deployment, over all workers that had it, and for failures that may pass.
  int most_attempts = 3;
  /// Between them.
  BackoffPolicy repeat_backoff{.base = std::chrono::seconds(5), .cap = std::chrono::seconds(60)};
  /// How long a BUILDING status is repeated while the API is away; then the job is given back.
  std::chrono::seconds building_patience{120};
  /// How long a final status is repeated.
  std::chrono::seconds final_patience{24 * 3600};
  /// How long one of another worker's is repeated before it is left again.
  std::chrono::seconds adopted_patience{60};
  std::string help_url;  ///< Of pages about failures, by their kind; empty: none.
  ImageReference image_reference = ImageReference::automatic;
  int keep_images = 1;
  Secret cache_key;  ///< The platform's: see `domain::cache_namespaces`.
  domain::CacheSharing cache_sharing = domain::CacheSharing::service;
  BuildpacksRules buildpacks;
  KeyedHash::Key times_key{};  ///< Of what is remembered about a service's files.
  ChannelLimits channel;
  /// Asked when a source could not be fetched: whether that was WORK_DIR's fault.
  std::function<Result<>()> check_work_dir = [] { return Result<>(); };
};

/// How a deployment ended, and with it what becomes of its job.
enum class Outcome {
  builded,
  failed,
  cancelled,
  superseded,
  given_back,  ///< Not for us to end: the job, or its final status, is left to whoever comes next.
  gone,        ///< The platform no longer knows the deployment; nothing to report to.
  refused,     ///< Left to others because the platform refuses our API key.
  blocked,     ///< Goes back: it met what only the operator can mend.
  lost,        ///< The lease was lost: the job is another worker's by now.
};

std::string_view to_string(Outcome outcome);

/// Runs one deployment from its request to its final status: source, context, image, registry,
/// report. Knows neither Redis nor HTTP. Thread-safe: one object serves all slots.
///
/// How a deployment ended is decided by the queue (`JobQueue::finish`), then posted, then settled:
/// whoever dies in between leaves an end that another worker delivers.
class JobRunner {
 public:
  struct Ports {
    ports::SourceFetcher& source;
    ports::ImageBuilder& image;
    ports::BuildpacksBuilder& buildpacks;
    ports::Registry& registry;
    ports::DeploymentReporter& reporter;
    ports::JobQueue& queue;
    const ports::BuildLimits* limits = nullptr;  ///< Null: nobody counts what builds use.
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

  /// Never throws; every failure ends in a delivered status or is left to others. Calls `settle`
  /// once, as soon as the outcome stands; cleaning up follows.
  void run(const domain::DeploymentRequest& request, const ports::TakenJob& job,
           ports::JobCancellation& cancellation, const std::function<void(Outcome)>& settle);

  /// Reports a job that cannot be run at all (malformed) as FAILED with its customer line. Never
  /// throws.
  Outcome reject(const ports::Receipt& receipt, const Error& error,
                 const ports::JobCancellation& cancellation);

  /// Puts an unfinished job back into the queue.
  void give_back(const ports::Receipt& receipt);

  /// Posts an end that was decided elsewhere or by a worker that is gone. Never throws.
  Outcome deliver(const ports::Undelivered& undelivered,
                  const ports::JobCancellation& cancellation);

  /// What the deployments met that only the operator can mend.
  [[nodiscard]] const OperatorFaults& faults() const { return faults_; }

 private:
  Ports ports_;
  JobSettings settings_;
  SecretStore& secrets_;
  Metrics& metrics_;
  Log log_;
  const std::stop_token abort_;
  OperatorFaults faults_;
};

}  // namespace builder::pipeline
