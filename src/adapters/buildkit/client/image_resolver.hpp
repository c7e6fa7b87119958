#pragma once

#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

/// Asks the daemon what names of images stand for, all at once: it looks where a build would, with
/// the logins of the session. Ends after ten seconds. What it cannot find is left out.
std::vector<domain::BaseImage> resolve_images(const ports::JobContext& job,
                                              const std::shared_ptr<grpc::Channel>& channel,
                                              const std::string& session,
                                              const std::vector<std::string>& names);

}  // namespace builder::adapters::buildkit
