#pragma once

#include <map>
#include <string>
#include <string_view>

namespace builder::adapters::git {

/// Path -> URL, of what `git config --list --null` says about a `.gitmodules` file. The modules'
/// names mean nothing to us: they are never a path of ours.
std::map<std::string, std::string> parse_submodule_urls(std::string_view listed);

/// The URL of a submodule as git-submodule(1) resolves it against its repository's URL; empty when
/// it is neither relative nor http(s), or when it could mean something else to git than to us.
std::string resolve_submodule_url(std::string_view repository_url, std::string_view url);

}  // namespace builder::adapters::git
