#pragma once

#include "adapters/buildkit/client/progress.hpp"
#include "ports/job_context.hpp"

#include "buildkit_control.grpc.pb.h"

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

struct SolveOutcome {
  grpc::Status status;
  moby::buildkit::v1::SolveResponse response;
  std::chrono::microseconds first_status{0};  ///< From the call to the first progress message.
  std::chrono::microseconds solve{0};
  std::chrono::microseconds tail{0};  ///< From the end of Solve to the end of the progress.
};

/// Runs one Solve call with its progress stream beside it; returns when both have ended. On stop or
/// at the deadline the call is cancelled and the progress stream awaited for a bounded time: its
/// end says that the daemon's processes are gone, which Solve's own return does not. `reserve` is
/// the way for spare progress streams, for daemons that need them (`status_goes_astray`); or null.
SolveOutcome run_solve(const std::shared_ptr<grpc::Channel>& channel,
                       const std::shared_ptr<grpc::Channel>& reserve, const ports::JobContext& job,
                       const moby::buildkit::v1::SolveRequest& request, Progress& progress);

}  // namespace builder::adapters::buildkit
