#pragma once

#include "ports/source_tree.hpp"

#include <map>
#include <memory>
#include <string>

namespace builder::pipeline {

/// A source tree with generated files laid over its root folder: they hide what the repository has
/// under the same names, whatever that is (a symlink to somewhere else included), and nothing is
/// written anywhere.
///
/// `files`: name in the root folder -> content. Names hold no '/'.
std::shared_ptr<const ports::SourceTree> make_overlay_tree(
    std::shared_ptr<const ports::SourceTree> base, std::map<std::string, std::string> files);

}  // namespace builder::pipeline
