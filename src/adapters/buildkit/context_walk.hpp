#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "ports/source_tree.hpp"

namespace builder::adapters::buildkit {

/// What the engine asks for in one transfer (metadata of FileSync.DiffCopy).
struct TransferFilter {
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::vector<std::string> follow;  ///< Paths named by COPY/ADD; links on the way come along.
};

struct WalkEntry {
  std::string path;
  ports::FileInfo info;
  std::string link;  ///< Target of a symlink.
};

/// Lists a tree in the order the receiver checks (names bytewise per folder, a folder before what is
/// in it, parents of what is selected always). Entries that are neither file, folder nor link are left
/// out. `emit` returns false to end the walk. `cancelled` once stop is requested.
Result<> walk_context(const ports::SourceTree& tree, const TransferFilter& filter,
                      const std::stop_token& stop,
                      const std::function<bool(const WalkEntry&)>& emit);

}  // namespace builder::adapters::buildkit
