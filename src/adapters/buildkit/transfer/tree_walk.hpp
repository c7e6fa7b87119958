#pragma once

#include "base/result.hpp"
#include "domain/path_automaton.hpp"
#include "ports/source_tree.hpp"

#include "fsutil.pb.h"

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace builder::adapters::buildkit {

/// What the daemon asks for in one transfer.
struct TreeFilter {
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::vector<std::string>
      follow;  ///< Paths to include together with the symlinks they go through.
};

/// Go's os.ModeType of what we send: an entry with any of these bits has no content.
inline constexpr std::uint32_t k_mode_directory = 1U << 31U;
inline constexpr std::uint32_t k_mode_symlink = 1U << 27U;

/// Calls `emit` for each selected entry in the order the receiver checks: names bytewise within a
/// folder, a folder before its content and after nothing it contains; the folders above a selected
/// entry are sent even when the filter drops them. Owner and group are 0. Entries that are neither
/// file, folder nor symlink are left out. Ends early, without an error, when `emit` returns false;
/// `cancelled` on stop, which is looked at while matching as well; `invalid_input` when the filter
/// costs more than the budget.
Result<> walk_tree(const ports::SourceTree& tree, const TreeFilter& filter,
                   domain::MatchingBudget& budget, const std::stop_token& stop,
                   const std::function<bool(const fsutil::types::Stat&)>& emit);

}  // namespace builder::adapters::buildkit
