#pragma once

#include "ports/source_tree.hpp"

#include <memory>
#include <string>

namespace builder::ports {

/// A folder of a tree as a tree of its own: what lies beside it has no path. Links that lead out of
/// it are followed as the whole tree follows them. `not_found`, with a line for whoever named it,
/// when no folder is there that is reached without a link.
Result<std::shared_ptr<const SourceTree>> make_subtree(std::shared_ptr<const SourceTree> whole,
                                                       std::string folder);

}  // namespace builder::ports
