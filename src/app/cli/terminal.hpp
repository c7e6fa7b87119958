#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace builder::app::cli {

/// What a stream's reader can show. Sources: isatty(3), TIOCGWINSZ, https://no-color.org, and TERM.
struct Terminal {
  bool interactive = false;  ///< A person looks at it.
  bool colour = false;
  std::size_t columns = 80;  ///< At least 20; of a pipe: no limit (`k_no_limit`).
  std::size_t rows = 24;
  /// Knows the cursor sequences of ECMA-48, as every terminal but `TERM=dumb`.
  bool can_redraw = false;
  /// Breaks rows anew when it becomes narrower; most do, xterm, screen and the console do not.
  bool reflows = false;

  static constexpr std::size_t k_no_limit = static_cast<std::size_t>(-1);
};

/// Of the stream with this descriptor, as it is now. COLUMNS wins over what the terminal says.
Terminal terminal_of(int descriptor);

enum class Style { plain, bold, dim, good, warning, bad };

/// The text in that style where the terminal has colours, else as it is.
std::string styled(const Terminal& terminal, Style style, std::string_view text);

/// How many columns a text takes: wide characters two, combining ones none. Escapes of `styled` do
/// not count.
std::size_t width_of(std::string_view text);

/// The beginning of a text that fits, with `…` for what was cut.
std::string fitted(std::string_view text, std::size_t columns);

using TableRows = std::vector<std::vector<std::string>>;

/// Rows of cells below each other, the first row being the heads, two spaces between the columns.
/// The last column is cut where the terminal ends; where not even the others fit, each row becomes
/// lines of `head: cell`. Cells are one line each, hidden characters shown as `?`.
std::string table(const Terminal& terminal, const TableRows& rows);

/// "1 worker", "3 workers".
std::string counted(std::size_t count, std::string_view thing);

/// A stranger's name as a cell shows it.
std::string name_cell(std::string_view name);

/// Writes the text and flushes. What nobody reads is lost: an error of the stream is none of the
/// work that is told about. Thread-safe.
void put(std::FILE* stream, std::string_view text);

}  // namespace builder::app::cli
