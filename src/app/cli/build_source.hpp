#pragma once

#include "base/result.hpp"
#include "domain/deployment_request.hpp"

#include <string>
#include <string_view>

namespace builder::app::cli {

/// Whether it is meant as the address of a repository and not as a folder.
bool is_git_address(std::string_view source);

/// The address that somebody may have meant who named a folder that is not there, or who wrote an
/// address that is not spoken here; empty: none. `github.com/shop/web`, `git@github.com:shop/web`.
std::string address_meant(std::string_view source);

/// The address of a repository as `docker build` and `git clone` write it:
/// `https://[USER[:PASSWORD]@]HOST/PATH[.git][#[REF][:FOLDER]]`. REF is a branch, a tag, or a whole
/// commit id; without one it is the repository's default branch. FOLDER is built alone, as if it
/// were a repository of its own.
struct GitAddress {
  domain::GitProvider provider;
  std::string repository;  ///< Without `.git`.
  std::string branch;      ///< Or tag; empty: the default branch.
  std::string commit;
  std::string folder;  ///< A path of a SourceTree; empty: all of it.

  /// The last part of the folder's name, or of the repository's.
  [[nodiscard]] std::string name() const {
    const std::string& path = folder.empty() ? repository : folder;
    return path.substr(path.rfind('/') + 1);
  }
};

/// The error is a sentence for whoever typed it, without a password.
Result<GitAddress> parse_git_address(std::string_view source);

}  // namespace builder::app::cli
