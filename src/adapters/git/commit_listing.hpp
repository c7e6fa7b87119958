#pragma once

#include "adapters/git/object_reader.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::git {

/// One name in a commit's tree. Folders hold what is below them, sorted bytewise by name.
struct TreeNode {
  std::string name;
  std::string mode;  ///< 100644, 100755, 120000 (a link), 040000 (a folder), 160000 (a submodule).
  std::string object;      ///< Blob or tree id, or the submodule's commit.
  std::uint64_t size = 0;  ///< Bytes of a file, or of a link's target.
  std::vector<TreeNode> children;

  [[nodiscard]] bool is_folder() const { return mode == "040000"; }

  [[nodiscard]] bool is_link() const { return mode == "120000"; }

  [[nodiscard]] bool is_submodule() const { return mode == "160000"; }
};

struct CommitListing {
  std::chrono::sys_seconds committed_at;  ///< When it was committed, not written.
  std::string subject;                    ///< First line of the message: bytes of a stranger.
  TreeNode root;
  /// Some names are whole paths ("a/b"): only a checkout knows what git makes of them.
  bool has_paths = false;
};

/// Everything a commit holds, by name and size. `invalid_input` with the customer's line for trees
/// that nobody can check out, or that are too large or too deep; `internal` for a damaged
/// repository: every object is known to be here when this succeeds.
Result<CommitListing> list_commit(const ports::JobContext& job, ObjectReader& objects,
                                  const std::string& commit);

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
