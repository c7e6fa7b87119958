#pragma once

#include "app/cli/view/rows.hpp"
#include "app/cli/view/summary.hpp"

#include <memory>

namespace builder::app::cli {

/// Shows a build on the terminal behind this descriptor while it runs: what runs now at the bottom,
/// with the end of its output, and above it a row for each step that has ended. A thread of its own
/// draws, ten times a second at most and only what has changed; it follows the terminal's size. The
/// terminal is never left in another state: a program that dies leaves the last frame and nothing
/// else. If the terminal goes away, the build goes on unseen.
///
/// Text is made safe for a terminal here; secrets have to be gone from it. `source` may be empty.
std::unique_ptr<BuildView> make_live_view(int descriptor, SourceReader source);

}  // namespace builder::app::cli
