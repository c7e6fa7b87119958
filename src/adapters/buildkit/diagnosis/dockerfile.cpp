#include "adapters/buildkit/diagnosis/dockerfile.hpp"

#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

constexpr std::string_view k_line_blank = " \t\r";
constexpr char k_variable = '\x01';  // Stands for "any text" in a comparable instruction.

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!(text = trimmed(text, k_line_blank)).empty()) {
    const std::size_t end = std::min(text.find_first_of(k_line_blank), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return words;
}

/// The index of the brace that closes the one at `open`, or the last one of `text`.
std::size_t closing_brace(std::string_view text, std::size_t open) {
  std::size_t depth = 0;
  for (std::size_t i = open; i < text.size(); ++i) {
    depth += text[i] == '{' ? 1U : 0U;
    if (text[i] == '}' && --depth == 0) {
      return i;
    }
  }
  return text.size() - 1;
}

/// What is shown of it, without blanks, quotes and escapes; when it is the Dockerfile's side, with
/// `k_variable` for each variable, and for what is no UTF-8, of which engines make different
/// things.
std::string comparable(std::string_view raw, bool with_variables) {
  std::string out;
  const bool is_clean = !with_variables || is_utf8(raw);
  const std::string text = printable_columns(raw);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_clean && static_cast<unsigned char>(text[i]) >= 0x80) {
      out += k_variable;
      continue;
    }
    if (with_variables && text[i] == '$' && i + 1 < text.size()) {
      if (text[i + 1] == '{') {
        i = closing_brace(text, i + 1);
        out += k_variable;
        continue;
      }
      if (is_of_variable(text[i + 1])) {
        while (i + 1 < text.size() && is_of_variable(text[i + 1])) {
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
  return !word.empty() && std::ranges::all_of(word, is_of_variable) ? std::string(word)
                                                                    : std::string();
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

/// The words of a form in brackets, e.g. `["a b", "/c/"]`; nullopt for any other text.
std::optional<std::vector<std::string>> bracket_words(std::string_view text) {
  const auto value = parse_json(text);
  if (!value.is_array() ||
      !std::ranges::all_of(value, [](const auto& word) { return word.is_string(); })) {
    return std::nullopt;
  }
  return value.get<std::vector<std::string>>();
}

/// The value of a key among comma-separated options, e.g. `from` of `type=bind,from=x`. The key may
/// be in any case and the option in quotes, as in a line of CSV: what decides about access must see
/// it in every form.
std::string option_of(std::string_view options, const std::string& key) {
  while (!options.empty()) {
    const std::size_t end = std::min(options.find(','), options.size());
    std::string_view option = options.substr(0, end);
    options.remove_prefix(std::min(end + 1, options.size()));
    option.remove_prefix(std::min(option.find_first_not_of("\"' "), option.size()));
    if (lower_case(option).starts_with(key + "=")) {
      return std::string(option.substr(key.size() + 1));
    }
  }
  return {};
}

constexpr std::string_view k_from_flag = "--from=";
constexpr std::string_view k_mount_flag = "--mount=";

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
    step.stage = words.size() > 1 ? lower_case(words[words.size() - 2]) : "";
  }
  return step;
}

}  // namespace

Parts parts_of(std::string_view instruction) {
  Parts parts;
  std::string_view rest = trimmed(instruction, k_line_blank);
  rest.remove_prefix(std::min(rest.find_first_of(k_line_blank), rest.size()));
  rest = trimmed(rest, k_line_blank);
  while (rest.starts_with("--")) {
    const std::size_t end = std::min(rest.find_first_of(k_line_blank), rest.size());
    parts.flags.emplace_back(rest.substr(0, end));
    rest = trimmed(rest.substr(end), k_line_blank);
  }
  if (auto words = bracket_words(rest)) {
    parts.words = *std::move(words);
  } else {
    for (const std::string_view word : words_of(rest)) {
      parts.words.emplace_back(word);
    }
  }
  return parts;
}

std::vector<std::string> context_sources(std::string_view instruction) {
  const auto words = words_of(instruction);
  const std::string keyword = words.empty() ? "" : upper_case(words.front());
  Parts parts = parts_of(instruction);
  std::vector<std::string> sources;
  if (keyword == "RUN") {
    for (const std::string_view flag : parts.flags) {
      if (flag.starts_with(k_mount_flag)) {
        const std::string_view options = flag.substr(k_mount_flag.size());
        const std::string type = option_of(options, "type");
        const std::string source = option_of(options, "source") + option_of(options, "src");
        if ((type.empty() || type == "bind") && option_of(options, "from").empty() &&
            !source.empty()) {
          sources.push_back(source);
        }
      }
    }
    return sources;
  }
  const bool is_copy = keyword == "COPY" || keyword == "ADD";
  const bool from_elsewhere = std::ranges::any_of(
      parts.flags, [](const std::string& flag) { return flag.starts_with(k_from_flag); });
  if (!is_copy || from_elsewhere || parts.words.size() < 2) {
    return sources;
  }
  parts.words.pop_back();
  for (std::string& word : parts.words) {
    const bool is_remote = keyword == "ADD" && word.contains("://");
    if (!is_remote && !word.starts_with("<<")) {
      if (word.size() > 2 && word.front() == '"' && word.back() == '"') {
        word = word.substr(1, word.size() - 2);
      }
      sources.push_back(std::move(word));
    }
  }
  return sources;
}

std::vector<std::string> named_images(const Instruction& instruction) {
  if (instruction.keyword == "FROM") {
    return {std::string(base_of(instruction))};
  }
  std::vector<std::string> images;
  for (const std::string_view flag : parts_of(instruction.text).flags) {
    if (flag.starts_with(k_from_flag)) {
      images.emplace_back(flag.substr(k_from_flag.size()));
    } else if (flag.starts_with(k_mount_flag)) {
      images.push_back(option_of(flag.substr(k_mount_flag.size()), "from"));
    }
  }
  std::erase(images, "");
  return images;
}

bool names_cache_mounts(std::string_view dockerfile) {
  const std::string text = lower_case(dockerfile);
  constexpr std::string_view k_space = " \t\r\n";
  for (std::size_t at = text.find("type=cache"); at != std::string::npos;
       at = text.find("type=cache", at + 1)) {
    const std::size_t before = text.find_last_of(k_space, at);
    const std::size_t begin = before == std::string::npos ? 0 : before + 1;
    const std::string_view flag =
        std::string_view(text).substr(begin, text.find_first_of(k_space, at) - begin);
    const std::size_t key = std::min(flag.find("target=/"), flag.find("dst=/"));
    const std::string_view target =
        key == std::string_view::npos ? flag : flag.substr(key, flag.find(',', key) - key);
    const bool plain = key != std::string_view::npos && !target.ends_with('/') &&
                       target.find_first_of("$\"'\\") == std::string_view::npos &&
                       !target.contains("//") && !target.contains("/./") &&
                       !target.contains("/../") && !target.ends_with("/.") &&
                       !target.ends_with("/..") && !flag.contains(",id=") &&
                       !flag.contains("=id=") && !flag.contains("sharing=");
    if (!plain) {
      return true;
    }
  }
  return false;
}

Dockerfile::Dockerfile(std::string_view text) {
  if (auto frontends = named_frontends(text); !frontends.empty()) {
    frontend_ = std::move(frontends.front());
  }
  if (text.starts_with("\xEF\xBB\xBF")) {
    text.remove_prefix(3);
  }
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines_.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (const std::size_t line = directive_line("escape");
      line != 0 && trimmed(lines_[line - 1], k_line_blank).ends_with('`')) {
    escape_ = '`';
  }
  parse();
}

std::size_t Dockerfile::directive_line(std::string_view name) const {
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    const std::string_view comment = trimmed(lines_[i], k_line_blank);
    const std::size_t equals = comment.find('=');
    if (!comment.starts_with('#') || equals == std::string_view::npos) {
      return 0;
    }
    if (lower_case(trimmed(comment.substr(1, equals - 1), k_line_blank)) == name) {
      return i + 1;
    }
  }
  return 0;
}

const Instruction* Dockerfile::stage_of(const Instruction& instruction) const {
  const Instruction* from = nullptr;
  for (const Instruction& each : instructions_) {
    from = each.keyword == "FROM" ? &each : from;
    if (&each == &instruction) {
      return from;
    }
  }
  return nullptr;
}

const Instruction* Dockerfile::final_base(std::string_view stage) const {
  const Instruction* base = nullptr;
  for (const Instruction& instruction : instructions_) {
    if (instruction.keyword == "FROM" &&
        (stage.empty() || instruction.stage == lower_case(stage))) {
      base = &instruction;
    }
  }
  // A stage can only be made of one before it.
  for (auto at = instructions_.rbegin(); base != nullptr && at != instructions_.rend(); ++at) {
    if (at->keyword == "FROM" && at->lines.first < base->lines.first &&
        at->stage == lower_case(base_of(*base))) {
      base = &*at;
    }
  }
  return base;
}

std::string Dockerfile::platform_of(const Instruction& from) const {
  std::string platform;
  for (const std::string& flag : parts_of(from.text).flags) {
    if (flag.starts_with(k_platform_flag)) {
      platform = flag.substr(k_platform_flag.size());
    }
  }
  if (!platform.starts_with('$')) {
    return platform;
  }
  std::string name = platform.substr(1);
  if (name.starts_with('{') && name.ends_with('}')) {
    name = name.substr(1, name.size() - 2);
  }
  if (name == "TARGETPLATFORM" || name == "BUILDPLATFORM") {
    return "linux/amd64";
  }
  // Variables of a FROM are those before the first one.
  for (const Instruction& instruction : instructions_) {
    if (instruction.keyword == "FROM") {
      break;
    }
    for (const std::string& word : parts_of(instruction.text).words) {
      if (instruction.keyword == "ARG" && word.starts_with(name + "=")) {
        return word.substr(name.size() + 1);
      }
    }
  }
  return {};
}

void Dockerfile::parse() {
  for (std::size_t i = 0; i < lines_.size();) {
    const std::size_t first = i;
    std::string text;
    std::size_t last = i;
    bool continues = true;
    for (; continues && i < lines_.size(); ++i) {
      std::string_view line = trimmed(lines_[i], k_line_blank);
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
  const std::string keyword = upper_case(words.front());
  if (keyword != "RUN" && keyword != "COPY" && keyword != "ADD") {
    return next;
  }
  for (const std::string_view word : words) {
    const std::string end = heredoc_end(word);
    if (end.empty()) {
      continue;
    }
    const auto found = std::find_if(
        lines_.begin() + static_cast<std::ptrdiff_t>(next), lines_.end(),
        [&end](const std::string& line) { return trimmed(line, k_line_blank) == end; });
    // Without its end it is none: old frontends read the body as instructions.
    if (found != lines_.end()) {
      next = static_cast<std::size_t>(found - lines_.begin()) + 1;
    }
  }
  return next;
}

void Dockerfile::add(std::string text, LineRange lines) {
  const auto words = words_of(text);
  Instruction instruction{.lines = lines, .keyword = upper_case(words.front())};
  const std::string& keyword = instruction.keyword;
  if (keyword == "FROM") {
    stage_ = fmt::format("stage-{}", stages_++);
    if (words.size() > 3 && upper_case(words[words.size() - 2]) == "AS") {
      stage_ = lower_case(words.back());
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
  const std::string wanted = short_reference(trimmed(reference, k_line_blank));
  const Instruction* other = nullptr;
  for (const Instruction& instruction : instructions_) {
    for (const std::string& image : named_images(instruction)) {
      if (!fits(short_reference(comparable(image, true)), wanted)) {
        continue;
      }
      if (instruction.keyword == "FROM") {
        return &instruction;
      }
      other = other == nullptr ? &instruction : other;
    }
  }
  return other;
}

StepPlace Dockerfile::trigger_of(std::string_view stage, std::string_view text) const {
  const Instruction* from = nullptr;
  for (const Instruction& instruction : instructions_) {
    if (instruction.keyword == "FROM" && (stage.empty() || stage == instruction.stage)) {
      from = &instruction;
    }
  }
  return {.instruction = from, .trigger = from == nullptr ? std::string() : std::string(text)};
}

StepPlace Dockerfile::find_step(std::string_view name) const {
  constexpr std::string_view k_metadata = "load metadata for ";
  constexpr std::string_view k_trigger = "ONBUILD ";  // Named so since BuildKit 0.15.
  const StepName step = taken_apart(name);
  if (step.text.starts_with(k_metadata)) {
    return {.instruction = find_base(step.text.substr(k_metadata.size()))};
  }
  const auto words = words_of(step.text);
  if (words.empty()) {
    return {};
  }
  if (step.text.starts_with(k_trigger)) {
    return trigger_of(step.stage, step.text.substr(k_trigger.size()));
  }
  const std::string keyword = upper_case(words.front());
  const std::string wanted = comparable(step.text.substr(words.front().size()), false);
  const Instruction* best = nullptr;
  int best_score = 0;
  constexpr int k_same_text = 4;
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
        (same_text ? k_same_text : 0) + (same_place ? 2 : 0) + (same_text && same_stage ? 1 : 0);
    if (score > best_score) {
      best = &instruction;
      best_score = score;
    }
  }
  if (best == nullptr && keyword == "FROM") {
    return {.instruction = find_base(words.size() > 1 ? words[1] : std::string_view())};
  }
  // A text without variables that stands nowhere in the file is a trigger of a base image: old
  // engines give it the number of the next instruction.
  const bool may_be_trigger =
      keyword == "RUN" || keyword == "COPY" || keyword == "ADD" || keyword == "WORKDIR";
  if (best_score < k_same_text && may_be_trigger && !frontend_ && step.ordinal != 0 &&
      (best == nullptr || !best->text.contains('$'))) {
    return trigger_of(step.stage, step.text);
  }
  return {.instruction = best};
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
                              line, width,
                              truncate_characters(printable_columns(content), k_width_limit)));
  }
  if (cut) {
    out.push_back(fmt::format("  {:>{}} | …", "", width));
  }
  return out;
}

}  // namespace builder::adapters::buildkit
