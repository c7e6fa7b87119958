#include "domain/organization.hpp"

#include "base/keyed_hash.hpp"

namespace builder::domain {

namespace {

/// Of `owner/repository`; a group of groups at other hosts.
std::string owner_of(const std::string& repository) {
  const std::size_t slash = repository.rfind('/');
  return slash == std::string::npos ? std::string() : repository.substr(0, slash);
}

}  // namespace

std::optional<std::string> organization_of(const DeploymentRequest& request) {
  const std::string owner = owner_of(request.repository_name);
  if (owner.empty()) {
    return std::nullopt;
  }
  const GitProvider git = request.git_provider.value_or(GitProvider{});
  // In another number of parts: no custom address is taken for GitHub.
  return git.type == GitProviderType::github
             ? with_lengths({"organization", "github", git.username, owner})
             : with_lengths({"organization", "custom", git.url, git.username, owner});
}

std::optional<std::string> turn_owner_of(const DeploymentRequest& request) {
  const GitProvider git = request.git_provider.value_or(GitProvider{});
  if (git.username.empty()) {
    return std::nullopt;
  }
  if (git.type == GitProviderType::github) {
    return with_lengths({"turns", "github", git.username});
  }
  return git.url.empty() ? std::nullopt
                         : std::optional(with_lengths({"turns", "custom", git.url, git.username,
                                                       owner_of(request.repository_name)}));
}

}  // namespace builder::domain
