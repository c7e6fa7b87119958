#pragma once

#include "adapters/git/address_policy.hpp"
#include "base/secret.hpp"

#include <map>
#include <string>
#include <string_view>

namespace builder::adapters::git {

struct Submodule {
  std::string url;
  bool skipped = false;  ///< `update = none`.
};

/// By path: what `git config --list --null` says about a `.gitmodules` file. The modules' names
/// mean nothing to us: they are never a path of ours.
std::map<std::string, Submodule> parse_submodules(std::string_view listed);

/// Where the service's account is at home.
struct Account {
  Endpoint endpoint;
  std::string base;  ///< URL that repositories' names are put behind, without a trailing slash.
};

/// Where to fetch a submodule, or why it cannot be.
struct SubmoduleSource {
  std::string url;  ///< http(s), without credentials; empty when refused.
  /// Of the URL in .gitmodules. Only for another origin than the account's.
  std::string username = {};
  Secret password = {};
  std::string refused = {};  ///< For the customer: "its URL …".
};

/// The URL of a submodule as git-submodule(1) resolves it against its repository's URL. Forms that
/// git would need ssh or its own port for (`git@host:path`, `ssh://`, `git://`) become http(s):
/// below the account's base when they name its host, else https. Refuses what could mean something
/// else to git than to us.
SubmoduleSource resolve_submodule(std::string_view repository_url, std::string_view url,
                                  const Account& account);

}  // namespace builder::adapters::git
