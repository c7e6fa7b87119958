#include "adapters/buildkit/dockerfile.hpp"

#include "adapters/buildkit/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

constexpr std::string_view k_blank = " \t\r";
constexpr char k_variable = '\x01';  // Stands for "any text" in a comparable instruction.

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(k_blank);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(k_blank) - begin + 1);
}

char changed_case(char c, bool upper) {
  const auto byte = static_cast<unsigned char>(c);
  return static_cast<char>(upper ? std::toupper(byte) : std::tolower(byte));
}

std::string with_case(std::string_view text, bool upper) {
  std::string out;
  std::ranges::transform(text, std::back_inserter(out),
                         [upper](char c) { return changed_case(c, upper); });
  return out;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!(text = trimmed(text)).empty()) {
    const std::size_t end = std::min(text.find_first_of(k_blank), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

bool is_name(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Without blanks, quotes and escapes; with `k_variable` for each variable when it is the
/// Dockerfile's side.
std::string comparable(std::string_view text, bool with_variables) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (with_variables && text[i] == '$' && i + 1 < text.size()) {
      if (text[i + 1] == '{') {
        const std::size_t close = text.find('}', i);
        i = std::min(close, text.size() - 1);
        out += k_variable;
        continue;
      }
      if (is_name(text[i + 1])) {
        while (i + 1 < text.size() && is_name(text[i + 1])) {
          ++i;
        }
        out += k_variable;
        continue;
      }
    }
    if (!std::string_view(" \t\r\n\\`'\"").contains(text[i])) {
      out += text[i];
    }
  }
  return out;
}

/// `pattern` holds k_variable where any text may stand.
bool fits(std::string_view pattern, std::string_view text) {
  const std::size_t first = pattern.find(k_variable);
  if (first == std::string_view::npos) {
    return pattern == text;
  }
  const std::string_view head = pattern.substr(0, first);
  const std::string_view tail = pattern.substr(pattern.rfind(k_variable) + 1);
  if (text.size() < head.size() + tail.size() || !text.starts_with(head) || !text.ends_with(tail)) {
    return false;
  }
  text = text.substr(head.size(), text.size() - head.size() - tail.size());
  pattern = pattern.substr(head.size(), pattern.size() - head.size() - tail.size());
  while (!pattern.empty()) {
    pattern.remove_prefix(1);
    const std::string_view piece = pattern.substr(0, pattern.find(k_variable));
    const std::size_t found = text.find(piece);
    if (found == std::string_view::npos) {
      return false;
    }
    text.remove_prefix(found + piece.size());
    pattern.remove_prefix(piece.size());
  }
  return true;
}

/// The word that ends a heredoc opened by `word`, e.g. `<<-"EOF"`; empty when it opens none.
std::string heredoc_end(std::string_view word) {
  while (!word.empty() && std::isdigit(static_cast<unsigned char>(word.front())) != 0) {
    word.remove_prefix(1);
  }
  if (!word.starts_with("<<")) {
    return {};
  }
  word.remove_prefix(word.starts_with("<<-") ? 3 : 2);
  if (word.size() > 2 && (word.front() == '"' || word.front() == '\'') &&
      word.back() == word.front()) {
    word = word.substr(1, word.size() - 2);
  }
  return !word.empty() && std::ranges::all_of(word, is_name) ? std::string(word) : std::string();
}

/// As the daemon writes references: without the default registry, folder and tag.
std::string short_reference(std::string_view reference) {
  for (const std::string_view prefix : {"docker.io/", "library/"}) {
    if (reference.starts_with(prefix)) {
      reference.remove_prefix(prefix.size());
    }
  }
  if (reference.ends_with(":latest")) {
    reference.remove_suffix(7);
  }
  return std::string(reference);
}

/// `FROM --platform=… image AS name` -> image.
std::string_view base_of(const Instruction& from) {
  for (const std::string_view word : words_of(std::string_view(from.text).substr(4))) {
    if (!word.starts_with("--")) {
      return word;
    }
  }
  return {};
}

/// `[linux/amd64 build 2/5] RUN x` taken apart.
struct StepName {
  std::string stage;
  std::size_t ordinal = 0;
  std::string_view text;
};

StepName taken_apart(std::string_view name) {
  StepName step{.text = name};
  const std::size_t close = name.find("] ");
  if (!name.starts_with('[') || close == std::string_view::npos) {
    return step;
  }
  step.text = name.substr(close + 2);
  const auto words = words_of(name.substr(1, close - 1));
  if (!words.empty()) {
    const std::string_view count = words.back();
    std::from_chars(count.data(), count.data() + count.size(), step.ordinal);
    step.stage = words.size() > 1 ? with_case(words[words.size() - 2], false) : "";
  }
  return step;
}

}  // namespace

Dockerfile::Dockerfile(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) {
    text.remove_prefix(3);
  }
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines_.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  parse_directives();
  parse();
}

void Dockerfile::parse_directives() {
  for (const std::string& line : lines_) {
    const std::string_view comment = trimmed(line);
    const std::size_t equals = comment.find('=');
    if (!comment.starts_with('#') || equals == std::string_view::npos) {
      return;
    }
    if (with_case(trimmed(comment.substr(1, equals - 1)), false) == "escape" &&
        trimmed(comment.substr(equals + 1)) == "`") {
      escape_ = '`';
    }
  }
}

void Dockerfile::parse() {
  for (std::size_t i = 0; i < lines_.size();) {
    const std::size_t first = i;
    std::string text;
    std::size_t last = i;
    bool continues = true;
    for (; continues && i < lines_.size(); ++i) {
      std::string_view line = trimmed(lines_[i]);
      if (line.empty() || line.starts_with('#')) {
        // Between continuation lines these are skipped; before an instruction there is none yet.
        continues = !text.empty();
        continue;
      }
      continues = line.ends_with(escape_);
      if (continues) {
        line.remove_suffix(1);
      }
      text += line;
      text += continues ? " " : "";
      last = i;
    }
    if (words_of(text).empty()) {
      continue;  // Nothing but escapes.
    }
    const std::size_t after = end_of_heredocs(text, i);
    if (after != i) {
      last = after - 1;
      i = after;
    }
    add(std::move(text), {.first = first + 1, .last = last + 1});
  }
}

/// The index of the first line behind the bodies of the heredocs that `text` opens.
std::size_t Dockerfile::end_of_heredocs(const std::string& text, std::size_t next) const {
  const auto words = words_of(text);
  const std::string keyword = with_case(words.front(), true);
  if (keyword != "RUN" && keyword != "COPY" && keyword != "ADD") {
    return next;
  }
  for (const std::string_view word : words) {
    const std::string end = heredoc_end(word);
    if (end.empty()) {
      continue;
    }
    const auto found =
        std::find_if(lines_.begin() + static_cast<std::ptrdiff_t>(next), lines_.end(),
                     [&end](const std::string& line) { return trimmed(line) == end; });
    // Without its end it is none: old frontends read the body as instructions.
    if (found != lines_.end()) {
      next = static_cast<std::size_t>(found - lines_.begin()) + 1;
    }
  }
  return next;
}

void Dockerfile::add(std::string text, LineRange lines) {
  const auto words = words_of(text);
  Instruction instruction{.lines = lines, .keyword = with_case(words.front(), true)};
  const std::string& keyword = instruction.keyword;
  if (keyword == "FROM") {
    stage_ = fmt::format("stage-{}", stages_++);
    if (words.size() > 3 && with_case(words[words.size() - 2], true) == "AS") {
      stage_ = with_case(words.back(), false);
    }
    ordinal_ = 0;
  }
  if (keyword == "FROM" || keyword == "RUN" || keyword == "COPY" || keyword == "ADD" ||
      keyword == "WORKDIR") {
    instruction.ordinal = ++ordinal_;
  }
  instruction.stage = stage_;
  instruction.text = std::move(text);
  instructions_.push_back(std::move(instruction));
}

const Instruction* Dockerfile::find_base(std::string_view reference) const {
  const std::string wanted = short_reference(trimmed(reference));
  for (const Instruction& instruction : instructions_) {
    if (instruction.keyword == "FROM" &&
        fits(short_reference(comparable(base_of(instruction), true)), wanted)) {
      return &instruction;
    }
  }
  return nullptr;
}

const Instruction* Dockerfile::find_step(std::string_view name) const {
  constexpr std::string_view k_metadata = "load metadata for ";
  const StepName step = taken_apart(name);
  if (step.text.starts_with(k_metadata)) {
    return find_base(step.text.substr(k_metadata.size()));
  }
  const auto words = words_of(step.text);
  if (words.empty()) {
    return nullptr;
  }
  const std::string keyword = with_case(words.front(), true);
  const std::string wanted = comparable(step.text.substr(words.front().size()), false);
  const Instruction* best = nullptr;
  int best_score = 0;
  for (const Instruction& instruction : instructions_) {
    if (instruction.keyword != keyword) {
      continue;
    }
    const bool same_stage = step.stage.empty() || step.stage == instruction.stage;
    const bool same_place = same_stage && step.ordinal != 0 && step.ordinal == instruction.ordinal;
    const std::string own =
        comparable(std::string_view(instruction.text).substr(keyword.size()), true);
    // A heredoc's name carries part of its body.
    const bool same_text = fits(own, wanted) || (own.contains("<<") && wanted.starts_with(own));
    // The text decides; equal texts are told apart by place. Place alone is the last resort.
    const int score =
        (same_text ? 4 : 0) + (same_place ? 2 : 0) + (same_text && same_stage ? 1 : 0);
    if (score > best_score) {
      best = &instruction;
      best_score = score;
    }
  }
  if (best == nullptr && keyword == "FROM") {
    return find_base(words.size() > 1 ? words[1] : std::string_view());
  }
  return best;
}

const Instruction* Dockerfile::at_line(std::size_t line) const {
  for (const Instruction& instruction : instructions_) {
    if (instruction.lines.first <= line && line <= instruction.lines.last) {
      return &instruction;
    }
  }
  return nullptr;
}

std::vector<std::string> Dockerfile::excerpt(LineRange range) const {
  constexpr std::size_t k_around = 2;
  constexpr std::size_t k_marked_limit = 8;
  constexpr std::size_t k_width_limit = 200;
  std::vector<std::string> out;
  if (range.first == 0 || range.first > lines_.size()) {
    return out;
  }
  const std::size_t begin = range.first > k_around ? range.first - k_around : 1;
  const std::size_t marked = std::min(std::max(range.first, range.last), lines_.size());
  const bool cut = marked - range.first + 1 > k_marked_limit;
  const std::size_t end =
      cut ? range.first + k_marked_limit - 1 : std::min(marked + k_around, lines_.size());
  const std::size_t width = std::to_string(end).size();
  for (std::size_t line = begin; line <= end; ++line) {
    std::string content = lines_[line - 1];
    std::ranges::replace(content, '\t', ' ');
    out.push_back(fmt::format("{} {:>{}} | {}", line >= range.first && line <= marked ? '>' : ' ',
                              line, width, shortened(one_line(content), k_width_limit)));
  }
  if (cut) {
    out.push_back(fmt::format("  {:>{}} | …", "", width));
  }
  return out;
}

}  // namespace builder::adapters::buildkit
