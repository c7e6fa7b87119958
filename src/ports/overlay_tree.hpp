#pragma once

#include "ports/source_tree.hpp"

#include <map>
#include <memory>
#include <string>

namespace builder::ports {

/// A source tree with generated files laid over it: they hide what the base has under the same
/// names, whatever that is (a symlink to somewhere else included), and nothing is written anywhere.
///
/// `mount` empty: the base is the root, and the files' names hold no '/'. Otherwise the base hangs
/// below the folder of that name (no '/'), and files lie at any path beside it, in folders that
/// come into being for them.
std::shared_ptr<const SourceTree> make_overlay_tree(std::shared_ptr<const SourceTree> base,
                                                    std::map<std::string, std::string> files,
                                                    std::string mount = {});

}  // namespace builder::ports
