#pragma once

#include "app/cli/terminal.hpp"

#include <string>
#include <vector>

namespace builder::app::cli {

/// The rows at the end of a terminal that are drawn anew again and again, as bytes for it (ECMA-48,
/// and the private modes 7, 25 and 2026, which terminals that do not know them ignore). What
/// belongs together is one string, to be written at once. Behind each string the cursor is in the
/// first column of the row below, everything is as it was, and nothing has to be restored.
/// Not thread-safe.
class Screen {
 public:
  /// Puts `above` for good above the live rows, and draws these. Rows must fit the terminal. Empty:
  /// all is there already.
  std::string frame(const Terminal& terminal, const std::vector<std::string>& above,
                    const std::vector<std::string>& live);

  /// Takes the live rows away and prints `above`, and then `closing`, whose rows may be wider than
  /// the terminal.
  std::string end(const Terminal& terminal, const std::vector<std::string>& above,
                  const std::vector<std::string>& closing);

 private:
  [[nodiscard]] std::string to_first_row(const Terminal& terminal) const;

  std::vector<std::string> drawn_;
  std::size_t columns_ = 0;  ///< When they were drawn.
};

}  // namespace builder::app::cli
