#include "app/cli/findings.hpp"

#include "base/utf8.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace builder::app::cli {

namespace {

/// Narrower than this, names and texts stand below each other.
constexpr std::size_t k_wide = 60;
/// A longer name has a line of its own.
constexpr std::size_t k_longest_name = 16;
constexpr std::string_view k_arrow = "-> ";

std::size_t count(const Findings& findings, State state) {
  return static_cast<std::size_t>(std::ranges::count(findings.all, state, &Finding::state));
}

Style style_of(State state) {
  switch (state) {
    case State::ok:
      return Style::good;
    case State::warning:
      return Style::warning;
    case State::failure:
      return Style::bad;
    case State::not_tried:
      break;
  }
  return Style::dim;
}

/// What to do: the cure, and the setting unless something names it already.
std::string advice_of(const Finding& finding) {
  const bool is_named = finding.setting.empty() || finding.cure.contains(finding.setting);
  return is_named               ? finding.cure
         : finding.cure.empty() ? "look at " + finding.setting
                                : fmt::format("{} ({})", finding.cure, finding.setting);
}

/// Lines of at most so many columns, broken at blanks; a word that is longer is cut in pieces.
std::vector<std::string> wrapped(std::string_view text, std::size_t columns) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    while (!word.empty()) {
      std::string& line = lines.back();
      const std::size_t used = line.empty() ? 0 : width_of(line) + 1;
      if (used + width_of(word) <= columns) {
        line += (line.empty() ? "" : " ") + std::string(word);
        break;
      }
      if (!line.empty()) {
        lines.emplace_back();
        continue;
      }
      do {
        const std::string_view character = first_character(word).bytes;
        line += character;
        word.remove_prefix(character.size());
      } while (!word.empty() && width_of(line) + width_of(first_character(word).bytes) <= columns);
      lines.emplace_back();
    }
  }
  if (lines.size() > 1 && lines.back().empty()) {
    lines.pop_back();
  }
  return lines;
}

/// The text, the first line behind `head`, the others below it.
std::string hanging(const std::string& head, std::string_view text, std::size_t columns) {
  const std::size_t indent = width_of(head);
  std::string all;
  for (const std::string& line : wrapped(text, columns - indent)) {
    all += (all.empty() ? head : std::string(indent, ' ')) + line + "\n";
  }
  return all;
}

std::string on_terminal(const Finding& finding, const Terminal& terminal,
                        std::size_t name_columns) {
  const std::string advice = advice_of(finding);
  const bool has_advice = finding.state != State::ok && !advice.empty();
  const std::string state =
      styled(terminal, style_of(finding.state), fmt::format("{:<9}", to_string(finding.state)));
  std::string text;
  if (terminal.columns >= k_wide) {
    std::string head = fmt::format("  {}  {:<{}}  ", state, finding.what, name_columns);
    if (finding.what.size() > name_columns) {
      text = head.substr(0, head.find_last_not_of(' ') + 1) + "\n";
      head = std::string(width_of(head) - finding.what.size() + name_columns, ' ');
    }
    text += hanging(head, finding.text, terminal.columns);
    if (has_advice) {
      text += hanging(std::string(width_of(head), ' ') + std::string(k_arrow), advice,
                      terminal.columns);
    }
  } else {
    text = fitted(fmt::format("  {}  {}", state, finding.what), terminal.columns) + "\n" +
           hanging("    ", finding.text, terminal.columns);
    if (has_advice) {
      text += hanging("    " + std::string(k_arrow), advice, terminal.columns);
    }
  }
  return text;
}

std::string sum_of(const Findings& findings) {
  std::string text = fmt::format("{}, {}, {} ok, {} not tried, in {:.1f} s",
                                 counted(count(findings, State::failure), "failure"),
                                 counted(count(findings, State::warning), "warning"),
                                 count(findings, State::ok), count(findings, State::not_tried),
                                 std::chrono::duration<double>(findings.took).count());
  std::string failed;
  for (const Finding& finding : findings.all) {
    if (finding.state == State::failure) {
      failed += fmt::format("{}{} {}", failed.empty() ? "" : ", ", finding.group, finding.what);
    }
  }
  return failed.empty() ? text : text + ": " + failed;
}

std::string for_pipe(const Findings& findings, const Terminal& terminal) {
  std::vector<std::vector<std::string>> rows{{"STATE", "GROUP", "WHAT", "FOUND"}};
  for (const Finding& finding : findings.all) {
    const std::string advice = finding.state == State::ok ? "" : advice_of(finding);
    rows.push_back({std::string(to_string(finding.state)), finding.group, finding.what,
                    finding.text + (advice.empty() ? "" : fmt::format(" {}{}", k_arrow, advice))});
  }
  return table(terminal, rows);
}

}  // namespace

Exit exit_of(const Findings& findings, bool is_misconfigured) {
  return is_misconfigured                      ? Exit::usage
         : count(findings, State::failure) > 0 ? Exit::failed
                                               : Exit::ok;
}

std::string as_text(const Findings& findings, const Terminal& terminal) {
  if (terminal.columns == Terminal::k_no_limit) {
    return for_pipe(findings, terminal) + sum_of(findings) + "\n";
  }
  std::size_t name_columns = 0;
  for (const Finding& finding : findings.all) {
    name_columns =
        std::max(name_columns, finding.what.size() > k_longest_name ? 0 : finding.what.size());
  }
  std::string text;
  std::string_view group;
  for (const Finding& finding : findings.all) {
    if (finding.group != group) {
      text += styled(terminal, Style::bold, finding.group) + "\n";
      group = finding.group;
    }
    text += on_terminal(finding, terminal, name_columns);
  }
  return text + "\n" + hanging("", sum_of(findings), terminal.columns);
}

std::string as_json(const Findings& findings, Exit code) {
  auto all = nlohmann::ordered_json::array();
  for (const Finding& finding : findings.all) {
    all.push_back({{"group", finding.group},
                   {"what", finding.what},
                   {"state", to_string(finding.state)},
                   {"text", finding.text},
                   {"setting", finding.setting},
                   {"cure", finding.cure}});
  }
  const nlohmann::ordered_json object{
      {"findings", std::move(all)},
      {"ok", count(findings, State::ok)},
      {"warnings", count(findings, State::warning)},
      {"failures", count(findings, State::failure)},
      {"not_tried", count(findings, State::not_tried)},
      {"seconds", std::chrono::duration<double>(findings.took).count()},
      {"exit", static_cast<int>(code)}};
  return object.dump(2) + "\n";
}

}  // namespace builder::app::cli
