#pragma once

#include "base/log.hpp"
#include "base/secret_store.hpp"
#include "build/image_sbom.hpp"
#include "ports/build_history.hpp"
#include "ports/job_context.hpp"
#include "ports/job_queue.hpp"
#include "ports/metrics.hpp"
#include "ports/registry.hpp"
#include "report/outcome.hpp"
#include "work/operator_faults.hpp"
#include "work/run_contract.hpp"
#include "work/run_observer.hpp"

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace builder::domain {
struct DeploymentRequest;
}  // namespace builder::domain

namespace builder::work {

using report::Outcome;

/// What the engine may still have of a run, and what of it can wait until the deployment has ended.
struct Leftovers {
  domain::DeploymentId deployment;
  ports::Repository repository;
  std::optional<build::SbomTask> sbom = {};
};

struct EndedRun {
  Outcome outcome{};
  /// None as well where whoever takes the job next needs them: it pushes what the engine built
  /// under the same name.
  std::optional<Leftovers> leftovers = {};
  /// Why this machine could not run it: it comes back, and the next job would fare no better.
  std::string no_thread = {};
};

struct BuiltBefore {
  std::vector<domain::DeploymentId> ended;
  /// Why one could not be looked up, if asking again may help; a registry that refuses makes a job
  /// no old one.
  std::optional<Error> trouble = {};
};

/// Runs one deployment from its request to its final status: source, context, image, registry,
/// report. Knows neither Redis nor HTTP. Thread-safe: one object serves all slots.
///
/// How a deployment ended is decided by the queue (`JobQueue::finish`), then posted, then settled:
/// whoever dies in between leaves an end that another worker delivers.
class JobRunner {
 public:
  /// `abort` ends even the delivery of final statuses: the process is about to end.
  JobRunner(RunPorts ports, JobSettings settings, SecretStore& secrets, ports::Metrics& metrics,
            Log log, std::stop_token abort)
      : ports_(ports),
        settings_(std::move(settings)),
        secrets_(secrets),
        metrics_(metrics),
        log_(std::move(log)),
        abort_(std::move(abort)),
        faults_(settings_.first_fault_pause) {}

  /// Never throws; every failure ends in a delivered status or is left to others.
  EndedRun run(const domain::DeploymentRequest& request, const ports::TakenJob& job,
               ports::JobCancellation& cancellation, RunObserver& observer);

  /// Attaches to the image what is in it, and removes what a run has left at the engine. For when
  /// its job is settled: nobody waits for it but the slot. Never throws.
  void clean_up(const Leftovers& leftovers);

  /// Reports a job that cannot be run at all (malformed) as FAILED with its customer line. Never
  /// throws.
  Outcome reject(const ports::Receipt& receipt, const Error& error,
                 const ports::JobCancellation& cancellation);

  /// Puts an unfinished job back into the queue.
  void requeue(const ports::Receipt& receipt);

  /// Posts an end that was decided elsewhere or by a worker that is gone. Never throws.
  Outcome deliver(const ports::Undelivered& undelivered,
                  const ports::JobCancellation& cancellation);

  /// Which of the jobs were built before: the registry has their images.
  BuiltBefore built_before(const std::vector<std::string>& payloads, const std::stop_token& stop);

  /// What the deployments met that only the operator can mend.
  [[nodiscard]] const OperatorFaults& faults() const { return faults_; }

 private:
  /// The record of a deployment that ends here and was not built here; null: there is no history.
  std::unique_ptr<ports::RunRecord> begin_without_a_build(const domain::DeploymentId& deployment);
  void describe(const build::SbomTask& task, const ports::JobContext& job);
  Result<bool> has_image(const domain::DeploymentRequest& request, const std::stop_token& stop);

  RunPorts ports_;
  JobSettings settings_;
  SecretStore& secrets_;
  ports::Metrics& metrics_;
  Log log_;
  const std::stop_token abort_;
  OperatorFaults faults_;
};

}  // namespace builder::work
