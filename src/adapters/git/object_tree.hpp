#pragma once

#include "adapters/git/commit_listing.hpp"
#include "adapters/git/git_process.hpp"
#include "adapters/git/mirror.hpp"
#include "ports/source_tree.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace builder::adapters::git {

/// A commit's files straight from the mirror's objects: nothing is written to disk, and a path of
/// the repository never becomes a path of ours. For commits whose files are what git stores: no
/// submodules, no attributes that change content.
///
/// `identities` as in ports::FileInfo::modified; the mirror stays as long as the tree does.
std::shared_ptr<const ports::SourceTree> make_object_tree(const GitProcess& git, MirrorUse mirror,
                                                          ObjectReader objects, TreeNode root,
                                                          std::string attributes);

/// Nanoseconds that stand for a file's content and mode, and for the attributes that may change
/// what a checkout makes of the content.
std::uint32_t identity(const TreeNode& node, const std::string& attributes);

}  // namespace builder::adapters::git
