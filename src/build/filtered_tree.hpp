#pragma once

#include "domain/buildpacks/ignore_rules.hpp"
#include "ports/source_tree.hpp"

#include <cstdint>
#include <memory>

namespace builder::build {

/// What becomes of the files that the rules match.
enum class Matched : std::uint8_t { kept, left_out };

/// The files of a tree that the rules choose, and the folders that lead to them. Looks at the whole
/// tree once, here. `invalid_input` when that costs more than the budget.
Result<std::shared_ptr<const ports::SourceTree>> make_filtered_tree(
    std::shared_ptr<const ports::SourceTree> base, domain::buildpacks::IgnoreRules& rules,
    Matched matched, domain::MatchingBudget& budget);

}  // namespace builder::build
