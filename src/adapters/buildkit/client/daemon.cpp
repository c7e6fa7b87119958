#include "adapters/buildkit/client/daemon.hpp"

#include "buildkit_control.grpc.pb.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

namespace wire = moby::buildkit::v1;

/// One call without arguments, which ends at a stop and at the deadline.
template <typename Request, typename Response>
std::expected<Response, grpc::Status> ask(
    const ports::JobContext& job, const std::shared_ptr<grpc::Channel>& channel,
    grpc::Status (wire::Control::Stub::*call)(grpc::ClientContext*, const Request&, Response*)) {
  const auto deadline = job.within(k_answer_limit).deadline;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::duration_cast<std::chrono::system_clock::duration>(
                           deadline - std::chrono::steady_clock::now()));
  const std::stop_callback cancel(job.stop, [&context] { context.TryCancel(); });
  Response response;
  const grpc::Status status =
      (wire::Control::NewStub(channel).get()->*call)(&context, Request(), &response);
  if (!status.ok()) {
    return std::unexpected(status);
  }
  return response;
}

}  // namespace

std::expected<std::optional<std::string>, grpc::Status> ask_version(
    const ports::JobContext& job, const std::shared_ptr<grpc::Channel>& channel) {
  const auto info = ask(job, channel, &wire::Control::Stub::Info);
  if (info) {
    return info->buildkit_version().version();
  }
  if (info.error().error_code() == grpc::StatusCode::UNIMPLEMENTED) {
    return std::nullopt;
  }
  return std::unexpected(info.error());
}

std::expected<std::uint64_t, grpc::Status> ask_cache_size(
    const ports::JobContext& job, const std::shared_ptr<grpc::Channel>& channel) {
  const auto usage = ask(job, channel, &wire::Control::Stub::DiskUsage);
  if (!usage) {
    return std::unexpected(usage.error());
  }
  std::uint64_t bytes = 0;
  for (const auto& record : usage->record()) {
    bytes += static_cast<std::uint64_t>(std::max<std::int64_t>(record.size(), 0));
  }
  return bytes;
}

std::expected<BuildkitDescription, grpc::Status> ask_description(
    const ports::JobContext& job, const std::shared_ptr<grpc::Channel>& channel) {
  auto version = ask_version(job, channel);
  if (!version) {
    return std::unexpected(version.error());
  }
  const auto workers = ask(job, channel, &wire::Control::Stub::ListWorkers);
  if (!workers) {
    return std::unexpected(workers.error());
  }
  if (workers->record().empty()) {
    return std::unexpected(grpc::Status(grpc::StatusCode::FAILED_PRECONDITION,
                                        "its BuildKit has no worker to run a build"));
  }
  const auto& worker = workers->record(0);
  BuildkitDescription description{.version = *std::move(version),
                                  .labels = {worker.labels().begin(), worker.labels().end()}};
  for (const auto& platform : worker.platforms()) {
    std::string name = platform.os() + "/" + platform.architecture();
    // Each variant stands there for itself.
    if (std::ranges::find(description.platforms, name) == description.platforms.end()) {
      description.platforms.push_back(std::move(name));
    }
  }
  if (!description.platforms.empty()) {
    description.platform = description.platforms.front();
  }
  return description;
}

}  // namespace builder::adapters::buildkit
