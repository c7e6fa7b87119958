#include "app/cli/terminal.hpp"

#include "base/text.hpp"
#include "base/utf8.hpp"

#include <fmt/core.h>

#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <system_error>

namespace builder::app::cli {

namespace {

constexpr std::size_t k_narrowest = 20;
constexpr std::size_t k_gap = 2;
constexpr std::string_view k_more = "…";

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

std::optional<std::size_t> columns_of_environment() {
  const std::string_view text = environment("COLUMNS");
  std::size_t columns = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), columns);
  return error == std::errc() && end == text.data() + text.size() && columns > 0
             ? std::optional(columns)
             : std::nullopt;
}

/// The bytes of the escape sequence that the text begins with; only `styled` makes any.
std::size_t leading_escape(std::string_view text) {
  return text.starts_with("\x1b[") ? text.find('m') + 1 : 0;
}

std::size_t width_of_character(const Character& character) {
  return character.valid
             ? static_cast<std::size_t>(
                   std::max(0, utf8proc_charwidth(static_cast<utf8proc_int32_t>(character.code))))
             : 1;
}

std::string padded(std::string text, std::size_t columns) {
  const std::size_t width = width_of(text);
  return width < columns ? std::move(text) + std::string(columns - width, ' ') : text;
}

}  // namespace

Terminal terminal_of(int descriptor) {
  Terminal terminal{.interactive = ::isatty(descriptor) == 1};
  const std::string_view kind = environment("TERM");
  terminal.can_redraw = terminal.interactive && !kind.empty() && kind != "dumb";
  terminal.colour = terminal.can_redraw && environment("NO_COLOR").empty();
  terminal.reflows = kind != "linux" && environment("XTERM_VERSION").empty() &&
                     (!kind.starts_with("screen") || !environment("TMUX").empty());
  winsize size{};
  const bool has_size = terminal.interactive && ::ioctl(descriptor, TIOCGWINSZ, &size) == 0;
  if (has_size && size.ws_row > 0) {
    terminal.rows = size.ws_row;
  }
  if (!terminal.interactive) {
    // A shell that exports COLUMNS means its terminal.
    terminal.columns = Terminal::k_no_limit;
  } else if (const auto columns = columns_of_environment()) {
    terminal.columns = std::max(*columns, k_narrowest);
  } else if (has_size && size.ws_col > 0) {
    terminal.columns = std::max<std::size_t>(size.ws_col, k_narrowest);
  }
  return terminal;
}

std::string styled(const Terminal& terminal, Style style, std::string_view text) {
  if (!terminal.colour || style == Style::plain || text.empty()) {
    return std::string(text);
  }
  const std::string_view code = style == Style::bold      ? "1"
                                : style == Style::dim     ? "2"
                                : style == Style::good    ? "32"
                                : style == Style::warning ? "33"
                                                          : "31";
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    if (const std::size_t escape = leading_escape(text); escape > 0) {
      text.remove_prefix(escape);
      continue;
    }
    const Character character = first_character(text);
    width += width_of_character(character);
    text.remove_prefix(character.bytes.size());
  }
  return width;
}

std::string counted(std::size_t count, std::string_view thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

std::string name_cell(std::string_view name) {
  constexpr std::size_t k_longest_cell = 60;
  return printable_line(name, k_longest_cell);
}

std::string fitted(std::string_view text, std::size_t columns) {
  if (columns == Terminal::k_no_limit || width_of(text) <= columns) {
    return std::string(text);
  }
  std::string kept;
  bool in_style = false;
  for (std::size_t left = columns - 1; !text.empty();) {
    if (const std::size_t escape = leading_escape(text); escape > 0) {
      in_style = text.substr(0, escape) != "\x1b[0m";
      kept += text.substr(0, escape);
      text.remove_prefix(escape);
      continue;
    }
    const Character character = first_character(text);
    const std::size_t width = width_of_character(character);
    if (width > left) {
      break;
    }
    left -= width;
    kept += character.bytes;
    text.remove_prefix(character.bytes.size());
  }
  kept += k_more;
  return in_style ? kept + "\x1b[0m" : kept;
}

std::string table(const Terminal& terminal, const TableRows& rows) {
  std::vector<std::size_t> widths(rows.empty() ? 0 : rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(row[i]));
    }
  }
  std::size_t fixed = 0;
  for (std::size_t i = 0; i + 1 < widths.size(); ++i) {
    fixed += widths[i] + k_gap;
  }
  std::string text;
  // The last column says the most and bears cutting the best; below a dozen columns it says
  // nothing.
  const bool fits = terminal.columns == Terminal::k_no_limit || widths.empty() ||
                    fixed + std::min<std::size_t>(widths.back(), 12) <= terminal.columns;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const auto& row = rows[r];
    if (!fits) {
      for (std::size_t i = 0; r > 0 && i < row.size(); ++i) {
        if (!row[i].empty()) {
          text += fitted(fmt::format("{}{}: {}", i == 0 ? "" : "  ", rows.front()[i], row[i]),
                         terminal.columns) +
                  "\n";
        }
      }
      continue;
    }
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += i + 1 < row.size() ? padded(row[i], widths[i] + k_gap) : row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += (r == 0 ? styled(terminal, Style::bold, fitted(line, terminal.columns))
                    : fitted(line, terminal.columns)) +
            "\n";
  }
  return text;
}

void put(std::FILE* stream, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stream);
  std::fflush(stream);
}

}  // namespace builder::app::cli
