#pragma once

#include "ports/source_tree.hpp"

#include <functional>
#include <memory>
#include <string_view>

namespace builder::pipeline {

/// The files of a tree that `keep` accepts, and the folders that lead to them. Looks at the whole
/// tree once, here.
Result<std::shared_ptr<const ports::SourceTree>> make_filtered_tree(
    std::shared_ptr<const ports::SourceTree> base,
    const std::function<bool(std::string_view path)>& keep);

}  // namespace builder::pipeline
