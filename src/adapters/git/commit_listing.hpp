#pragma once

#include "adapters/git/object_reader.hpp"
#include "adapters/git/tree_object.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::git {

/// What the commits of one deployment may hold yet, submodules included.
struct ListingRoom {
  std::size_t entries = 500'000;
  std::uint64_t list_bytes = 64U << 20U;  ///< Of all lists: such a number of entries has 20 MiB.
  /// Of all paths, with their folders: whoever walks the tree keeps them. 500,000 of 80 bytes.
  std::uint64_t path_bytes = 40U << 20U;
};

struct CommitListing {
  std::chrono::sys_seconds committed_at;  ///< When it was committed, not written.
  std::string subject;                    ///< First line of the message: bytes of a stranger.
  TreeNode root;
  std::uint64_t bytes = 0;  ///< Of all files, each as often as it is there.
  /// Some names are whole paths ("a/b"): only a checkout knows what git makes of them.
  bool has_paths = false;
};

/// Everything a commit holds, by name and size. `invalid_input` with the customer's line for trees
/// that nobody can check out, or that are too large or too deep; `internal` for a damaged
/// repository: every object is known to be here when this succeeds. `prefix`: how long the path is
/// below which the commit's files will be.
Result<CommitListing> list_commit(const ports::JobContext& job, ObjectReader& objects,
                                  const std::string& commit, ListingRoom& room, std::size_t prefix);

/// Calls `visit(path, node)` for everything below `folder` that is no folder, depth first.
template <class Visit>
void for_each_file(const TreeNode& folder, const std::string& prefix, const Visit& visit) {
  for (const TreeNode& node : folder.children) {
    if (node.is_folder()) {
      for_each_file(node, prefix + node.name + "/", visit);
    } else {
      visit(prefix + node.name, node);
    }
  }
}

}  // namespace builder::adapters::git
