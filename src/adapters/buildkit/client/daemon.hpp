#pragma once

#include "adapters/buildkit/client/engine_info.hpp"
#include "ports/job_context.hpp"

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

namespace builder::adapters::buildkit {

/// A daemon that does not answer small questions in this time is not healthy.
inline constexpr std::chrono::seconds k_answer_limit{10};

/// Asks for the version; empty from a daemon before 0.11, which does not know the question.
std::expected<std::optional<std::string>, grpc::Status> ask_version(
    const ports::JobContext& job, const std::shared_ptr<grpc::Channel>& channel);

/// Bytes that all it keeps of builds takes.
std::expected<std::uint64_t, grpc::Status> ask_cache_size(
    const ports::JobContext& job, const std::shared_ptr<grpc::Channel>& channel);

/// Asks for the version and the worker. `FAILED_PRECONDITION` from a daemon that has no worker.
std::expected<BuildkitDescription, grpc::Status> ask_description(
    const ports::JobContext& job, const std::shared_ptr<grpc::Channel>& channel);

}  // namespace builder::adapters::buildkit
