#pragma once

#include "domain/platform_name.hpp"
#include "ports/job_context.hpp"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

/// What a build for a platform would take under a name.
struct ImageQuestion {
  std::string name;
  std::string platform = std::string(domain::k_default_platform);
};

struct ResolvedImage {
  std::string digest;    ///< Of the index, where there is one; empty: only the engine has it.
  std::string platform;  ///< In the image's own configuration; empty: it does not say.
};

/// Asks the daemon what images there are, all at once: it looks where a build would, with the
/// logins of the session. Ends after ten seconds. One answer for each question, in their order;
/// nullopt: the image cannot be found, or an index has none for the platform.
std::vector<std::optional<ResolvedImage>> resolve_images(
    const ports::JobContext& job, const std::shared_ptr<grpc::Channel>& channel,
    const std::string& session, const std::vector<ImageQuestion>& questions);

}  // namespace builder::adapters::buildkit
