#pragma once

#include "adapters/git/address_policy.hpp"
#include "adapters/http/proxy.hpp"
#include "ports/source_fetcher.hpp"

#include <functional>
#include <memory>
#include <string>

namespace builder::adapters::git {

struct GitConfig {
  std::string work_dir;    ///< Mirrors live below it; other workers of this host may share them.
  std::string builds_dir;  ///< Work trees; this process's alone.
  NetworkPolicy policy{};  ///< The strictest.
  AllowedHosts allowed_hosts = {};         ///< Whatever the policy says.
  std::uint64_t largest_source = 0;        ///< Bytes of all files of a deployment; 0: any.
  std::uint64_t git_memory = 2ULL << 30U;  ///< Bytes of one git process; 0: any.
  /// Makes again what was removed of WORK_DIR.
  std::function<Result<>()> ensure_work_dir = {};
  http::Proxies proxies = http::Proxies::of_process();
};

/// Fetches with the git program. Removes work trees an earlier run left behind.
Result<std::unique_ptr<ports::SourceFetcher>> make_source_fetcher(GitConfig config);

}  // namespace builder::adapters::git
