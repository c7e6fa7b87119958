#pragma once

#include "base/log.hpp"
#include "ports/job_context.hpp"
#include "ports/job_queue.hpp"
#include "report/deployment_channel.hpp"
#include "report/outcome.hpp"

#include <chrono>
#include <stop_token>
#include <string>

namespace builder::report {

/// What is posted for an end, whoever decided it.
ports::StatusUpdate update_of(const ports::Ending& ending);

/// FAILED with one line for the customer.
ports::StatusUpdate failed_update(const std::string& text);

/// Whatever it takes to bring one final status to the platform.
struct FinalContext {
  ports::JobQueue& queue;
  DeploymentChannel& channel;
  const ports::Receipt& receipt;
  const ports::JobCancellation& cancellation;
  const std::stop_token& abort;  ///< The process ends: leave it to others.
  std::chrono::seconds patience;
  ports::Metrics& metrics;
  const Log& log;
};

/// Has the queue decide how the deployment ended, posts that and settles it.
Outcome report_end(const FinalContext& context, const ports::StatusUpdate& update);

/// Ends a deployment that the platform does not know (`error`); only the operator is told.
Outcome end_unknown(const FinalContext& context, const ports::StatusUpdate& update,
                    const Error& error);

/// The same as `report_end` for an end that is decided already.
Outcome deliver_end(const FinalContext& context, ports::Ending ending);

}  // namespace builder::report
