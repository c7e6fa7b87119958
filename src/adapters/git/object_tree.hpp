#pragma once

#include "adapters/git/commit_listing.hpp"
#include "adapters/git/git_process.hpp"
#include "adapters/git/mirror.hpp"
#include "ports/source_tree.hpp"

#include <memory>
#include <string_view>

namespace builder::adapters::git {

/// A commit's files straight from the mirror's objects: nothing is written to disk, and a path of
/// the repository never becomes a path of ours. For commits whose files are what git stores: no
/// submodules, no attributes that change content.
///
/// The mirror stays as long as the tree does.
std::shared_ptr<const ports::SourceTree> make_object_tree(const GitProcess& git, MirrorUse mirror,
                                                          ObjectReader objects, TreeNode root);

/// Of a file or link as git stores it; or as a checkout writes it under `attributes`, unless those
/// are empty.
ports::ContentId content_of(const TreeNode& node, std::string_view attributes = {});

}  // namespace builder::adapters::git
