#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"
#include "domain/ids.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain {

struct EnvironmentVariable {
  std::string key;
  std::string value;
};

struct PortMapping {
  std::uint16_t service_port = 0;
  std::uint16_t container_port = 0;
};

enum class GitProviderType { github, custom };

struct GitProvider {
  GitProviderType type = GitProviderType::github;
  std::string url;  ///< Of a custom provider, as the user typed it. Empty for GitHub.
  std::string username;
  Secret password;  ///< GitHub: the account's access token.
};

/// One job of the platform's queue (contract: "Job"). Fields are of the right type and size and the
/// identifiers are well-formed; what the git fields *mean* is checked by `resolve_source`.
struct DeploymentRequest {
  DeploymentId deployment_id;
  ServiceId service_id;
  std::string commit_sha;  ///< Empty: head of the branch.
  std::string branch;
  std::string repository_name;
  std::string runtime_file_path;  ///< Empty: `Dockerfile`.
  std::optional<GitProvider> git_provider;
  std::vector<EnvironmentVariable> environment;
  std::vector<PortMapping> ports;
};

/// A queue element after reading. When `request` failed but the element names a well-formed
/// deployment, `deployment_id` is set so that the failure can be reported to it.
struct ParsedJob {
  std::optional<DeploymentId> deployment_id;
  std::optional<ServiceId> service_id;
  Result<DeploymentRequest> request;
};

/// Reads one queue element. Unknown fields are ignored, null equals absent, a wrong type is an
/// `invalid_input` that names the field. At most 1 MiB, 1,000 variables, JSON depth 64.
ParsedJob parse_job(std::string_view json);

/// nullopt: no deployment has such an id.
std::optional<DeploymentId> parse_deployment_id(std::string text);

}  // namespace builder::domain
