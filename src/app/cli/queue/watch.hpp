#pragma once

#include "app/cli/command_line.hpp"
#include "app/cli/terminal.hpp"
#include "base/result.hpp"

#include <functional>
#include <stop_token>
#include <string>

/// A picture that is shown again every second, until Ctrl+C.
namespace builder::app::cli {

/// Whether a picture can be drawn over the last one there.
bool can_redraw(int descriptor);

/// What brings one picture to a terminal over the last one, without flicker: rows are written over
/// and only then cut off. `rows` is the height of the terminal; what does not fit is left out, and
/// a row says so.
class Redrawing {
 public:
  std::string draw(const std::string& text, std::size_t columns, std::size_t rows);

 private:
  std::size_t drawn_ = 0;
  std::size_t columns_ = 0;
};

/// On stdout, a terminal. A look that fails keeps the last picture, and says why below it; if the
/// first one fails, that ends it.
Exit redraw(const std::stop_token& stop,
            const std::function<Result<std::string>(const Terminal&)>& look);

/// One line each second to stdout, whatever that is; ends when nobody reads it.
Exit repeat_lines(const std::stop_token& stop, const std::function<Result<std::string>()>& look);

}  // namespace builder::app::cli
