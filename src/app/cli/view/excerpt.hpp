#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace builder::app::cli {

/// Lines of a Dockerfile, counted from 1; `first` 0: not known.
struct SourceRange {
  std::string file;
  std::size_t first = 0;
  std::size_t last = 0;
};

/// The place that a sentence about a build begins with: `Dockerfile:5: …`, `Dockerfile:5-8: …`.
SourceRange source_range_of(std::string_view sentence);

/// Those lines and two on either side, as BuildKit prints them:
///
///     Dockerfile:2
///     --------------------
///        1 |     FROM busybox
///        2 | >>> RUN false
///     --------------------
///
/// Of a long range the first lines are shown. Empty when the text has no such line. The rows are
/// safe to show.
std::vector<std::string> excerpt_of(std::string_view text, const SourceRange& range);

/// The same of the rows in which a failing solve tells the place in the platform's log
/// (`> 2 | RUN false`): takes these out of `rows`, which are otherwise left as they are. Empty:
/// there were none.
std::vector<std::string> take_excerpt(std::vector<std::string>& rows, const std::string& file);

}  // namespace builder::app::cli
