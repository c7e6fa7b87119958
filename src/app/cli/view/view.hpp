#pragma once

#include "app/cli/terminal.hpp"
#include "app/cli/view/rows.hpp"
#include "app/cli/view/summary.hpp"
#include "base/result.hpp"

#include <array>
#include <cstdio>
#include <memory>
#include <string_view>

namespace builder::app::cli {

/// The values of `--progress`. `auto` is `tty` on a terminal that can be drawn on, else `plain`.
inline constexpr std::array<std::string_view, 5> k_progress{"auto", "tty", "plain", "json",
                                                            "quiet"};

/// The view of that name. `terminal` is that of stderr, `results` the stream of `json` and `quiet`;
/// `source` may be empty. `invalid_input` for `tty` without a terminal, and for a name that is
/// none.
Result<std::unique_ptr<BuildView>> make_view(std::string_view progress, const Terminal& terminal,
                                             std::FILE* results, SourceReader source);

}  // namespace builder::app::cli
