#pragma once

#include "base/temp_dir.hpp"
#include "ports/source_tree.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <unordered_map>

namespace builder::adapters::git {

/// By path in the tree.
using Identities = std::unordered_map<std::string, ports::ContentId>;

/// A work tree on disk, reached through one opened root: every open is an openat2 below it that
/// cannot leave. The folder is removed with the object. `.git` is hidden at every level.
Result<std::shared_ptr<const ports::SourceTree>> make_disk_tree(TempDir folder,
                                                                const std::string& root,
                                                                Identities identities);

/// A folder of a person's own machine, as it is now, reached in the same way. Files have the
/// permissions that git would give them, so that it is built as its repository would be, and times
/// of their own: what was written since the last look has another one. At most `k_deepest_folder`
/// levels; a folder of more than `k_most_entries` is refused (`invalid_input`).
Result<std::shared_ptr<const ports::SourceTree>> make_folder_tree(const std::string& root);

inline constexpr std::size_t k_deepest_folder = 256;
inline constexpr std::size_t k_most_entries = 1'000'000;

/// Replaces the content of a file of the work tree that is reached without any symlink.
Result<> replace_content(const std::string& root, const std::string& path,
                         const std::string& source);

/// Whether `path` below `root` is a folder that is reached without any symlink.
bool is_plain_folder(const std::string& root, const std::string& path);

}  // namespace builder::adapters::git
