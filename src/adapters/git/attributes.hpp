#pragma once

#include "adapters/git/commit_listing.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::git {

/// What the .gitattributes files of a commit say of its files, as far as it matters here.
struct Attributes {
  std::string digest;     ///< Of all of them; empty when there are none.
  bool converts = false;  ///< A checkout is needed to know what the files hold.
  bool lfs = false;

  /// What one more file says. It may say more than git takes it for, never less.
  void add(std::string_view content);
};

Result<Attributes> read_attributes(const ports::JobContext& job, ObjectReader& objects,
                                   const TreeNode& root);

}  // namespace builder::adapters::git
