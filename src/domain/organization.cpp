#include "domain/organization.hpp"

#include "base/keyed_hash.hpp"

namespace builder::domain {

std::optional<std::string> organization_of(const DeploymentRequest& request) {
  const std::string& name = request.repository_name;
  const std::string owner = name.substr(0, name.rfind('/'));
  if (owner.empty() || owner.size() == name.size()) {
    return std::nullopt;
  }
  const GitProvider git = request.git_provider.value_or(GitProvider{});
  return with_lengths({"organization", git.type == GitProviderType::github ? "github" : git.url,
                       git.username, owner});
}

}  // namespace builder::domain
