#pragma once

#include <memory>
#include <string>

#include "adapters/git/address_policy.hpp"
#include "base/log.hpp"
#include "ports/source_fetcher.hpp"

namespace builder::adapters::git {

struct GitConfig {
  std::string work_dir;  ///< Mirrors and work trees live below it; nobody else writes there.
  NetworkPolicy policy = NetworkPolicy::private_networks;
};

/// Fetches with the git program. Removes work trees an earlier run left behind.
Result<std::unique_ptr<ports::SourceFetcher>> make_source_fetcher(GitConfig config, Log log);

/// The URL of a submodule as git-submodule(1) resolves it against its repository's URL; empty when it
/// is neither relative nor http(s). Exposed for tests.
std::string resolve_submodule_url(std::string_view repository_url, std::string_view url);

}  // namespace builder::adapters::git
