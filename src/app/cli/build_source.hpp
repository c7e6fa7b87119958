#pragma once

#include "base/result.hpp"
#include "domain/deployment_request.hpp"

#include <string>
#include <string_view>

namespace builder::app::cli {

/// Whether it is meant as the address of a repository and not as a folder.
bool is_git_address(std::string_view source);

/// The address of a repository as `docker build` and `git clone` write it:
/// `https://[USER[:PASSWORD]@]HOST/PATH[.git][#REF]`. REF is a branch, a tag, or a whole commit id;
/// without one it is the repository's default branch.
struct GitAddress {
  domain::GitProvider provider;
  std::string repository;  ///< Without `.git`.
  std::string branch;      ///< Or tag; empty: the default branch.
  std::string commit;

  /// The last part of the repository's name.
  [[nodiscard]] std::string name() const { return repository.substr(repository.rfind('/') + 1); }
};

/// The error is a sentence for whoever typed it, without a password.
Result<GitAddress> parse_git_address(std::string_view source);

}  // namespace builder::app::cli
