#include "app/cli/view/excerpt.hpp"

#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace builder::app::cli {

namespace {

constexpr std::size_t k_around = 2;
constexpr std::size_t k_most_marked = 12;
constexpr std::size_t k_widest = 400;
constexpr std::string_view k_rule = "--------------------";

struct SourceLine {
  std::size_t number = 0;  ///< 0: what follows is left out.
  bool marked = false;
  std::string text;
};

/// Takes a number off the front of a text.
std::optional<std::size_t> take_number(std::string_view& text) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

std::optional<SourceLine> source_line_of(std::string_view row) {
  SourceLine line{.marked = row.starts_with("> ")};
  if (!line.marked && !row.starts_with("  ")) {
    return std::nullopt;
  }
  row.remove_prefix(std::min(row.find_first_not_of(' ', 2), row.size()));
  line.number = take_number(row).value_or(0);
  // Blanks at the end of a row are gone, so a row of an empty line ends with the bar.
  if (!row.starts_with(line.number == 0 ? "| …" : " |")) {
    return std::nullopt;
  }
  row.remove_prefix(line.number == 0 ? 2 : std::min<std::size_t>(3, row.size()));
  line.text = row;
  return line;
}

std::vector<std::string> format(const std::string& file, const std::vector<SourceLine>& lines) {
  const auto marked = std::ranges::find_if(lines, &SourceLine::marked);
  if (marked == lines.end()) {
    return {};
  }
  std::vector<std::string> rows{
      fmt::format("{}:{}", file.empty() ? "Dockerfile" : file, marked->number),
      std::string(k_rule)};
  for (const SourceLine& line : lines) {
    rows.push_back(fmt::format("{:>4} | {} {}", line.number == 0 ? "" : std::to_string(line.number),
                               line.marked ? ">>>" : "   ", line.text));
    rows.back().erase(rows.back().find_last_not_of(' ') + 1);
  }
  rows.emplace_back(k_rule);
  return rows;
}

}  // namespace

SourceRange source_range_of(std::string_view sentence) {
  for (std::size_t colon = sentence.find(':'); colon != std::string_view::npos;
       colon = sentence.find(':', colon + 1)) {
    std::string_view rest = sentence.substr(colon + 1);
    const auto first = take_number(rest);
    if (!first || *first == 0 || colon == 0 || sentence.substr(0, colon).contains(": ")) {
      continue;
    }
    std::size_t last = *first;
    if (rest.starts_with('-')) {
      rest.remove_prefix(1);
      last = take_number(rest).value_or(0);
    }
    if (rest.starts_with(':') && last >= *first) {
      return {.file = printable_columns(sentence.substr(0, colon)), .first = *first, .last = last};
    }
  }
  return {};
}

std::vector<std::string> excerpt_of(std::string_view text, const SourceRange& range) {
  std::vector<SourceLine> lines;
  if (range.first == 0) {
    return {};
  }
  const std::size_t last = std::max(range.first, range.last);
  const std::size_t last_marked = std::min(last, range.first + k_most_marked - 1);
  for (std::size_t number = 1; !text.empty() && number <= last_marked + k_around; ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (number + k_around >= range.first) {
      if (last_marked < last && number > last_marked) {
        lines.push_back({.text = "…"});
        break;
      }
      std::string shown(text.substr(0, std::min(end, 4 * k_widest)));
      std::ranges::replace(shown, '\t', ' ');
      lines.push_back({.number = number,
                       .marked = number >= range.first && number <= last_marked,
                       .text = truncate_characters(printable_columns(shown), k_widest)});
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return format(range.file, lines);
}

std::vector<std::string> take_excerpt(std::vector<std::string>& rows, const std::string& file) {
  std::vector<SourceLine> lines;
  std::erase_if(rows, [&](const std::string& row) {
    std::optional<SourceLine> line = source_line_of(row);
    if (line) {
      lines.push_back(*std::move(line));
    }
    return line.has_value();
  });
  return format(file, lines);
}

}  // namespace builder::app::cli
