#include "adapters/buildkit/diagnosis/plain_dockerfile.hpp"

#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "base/ascii.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "domain/variable_delivery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

constexpr std::string_view k_plain_blank = " \t";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Letters, signs and blanks of ASCII.
bool is_plain(char c) {
  return c == '\t' || (c >= ' ' && c <= '~');
}

/// Versions see blanks in all that Unicode has, or in single bytes.
bool begins_clearly(std::string_view text) {
  return text.empty() || is_plain(text.front()) ||
         (leading_blank(text) == 0 && static_cast<unsigned char>(text.front()) > 0xBF);
}

std::string_view without_leading_blanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(k_plain_blank), text.size()));
}

/// The words of a line as they are written: blanks in quotes and behind escapes are theirs.
/// nullopt: a quote is open at the end.
std::optional<std::vector<std::string>> written_words(std::string_view text) {
  std::vector<std::string> words;
  char quote = '\0';
  bool in_word = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (quote == '\0' && k_plain_blank.contains(c)) {
      in_word = false;
      continue;
    }
    if (!in_word) {
      words.emplace_back();
      in_word = true;
    }
    words.back() += c;
    if (c == '\\' && quote != '\'' && at + 1 < text.size()) {
      words.back() += text[++at];
    } else if (quote != '\0') {
      quote = c == quote ? '\0' : quote;
    } else if (c == '"' || c == '\'') {
      quote = c;
    }
  }
  return quote == '\0' ? std::optional(std::move(words)) : std::nullopt;
}

struct Heredoc {
  std::string end;
  bool drops_tabs = false;
};

/// Reads from top to bottom; the first thing that is unclear ends it.
class PlainReader {
 public:
  using Instructions = std::expected<std::vector<PlainInstruction>, Unclear>;

  explicit PlainReader(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) {
      text.remove_prefix(3);
    }
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      lines_.push_back(text.substr(0, end));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    for (std::string_view& line : lines_) {
      line.remove_suffix(line.ends_with('\r') ? 1 : 0);
    }
  }

  Instructions read() && {
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      if (lines_[i].find_first_of(std::string_view("\0\r", 2)) != std::string_view::npos) {
        return unclear(i, "has a control character; remove it");
      }
    }
    while (at_ < lines_.size()) {
      const std::string_view line = without_leading_blanks(lines_[at_]);
      if (line.empty() || line.starts_with('#')) {
        if (instructions_.empty() && sets_escape(line)) {
          return unclear(at_, "sets another escape character; use the backslash");
        }
        ++at_;
        continue;
      }
      if (auto read = read_instruction(); !read) {
        return std::unexpected(std::move(read).error());
      }
    }
    return std::move(instructions_);
  }

 private:
  static std::unexpected<Unclear> unclear(std::size_t index, std::string_view what) {
    return std::unexpected(Unclear{.line = index + 1, .what = std::string(what)});
  }

  /// As a directive in any spelling that some version takes for one.
  static bool sets_escape(std::string_view comment) {
    const std::string text = lower_case(comment);
    const std::size_t name = text.find("escape");
    const std::size_t equals = name == std::string::npos ? name : text.find('=', name);
    return equals != std::string::npos &&
           trimmed(std::string_view(text).substr(equals + 1), k_plain_blank) != "\\";
  }

  /// Takes the backslash off that joins the line with the next. Nothing: it stands doubled, which
  /// versions read differently.
  static std::optional<bool> take_continuation(std::string_view& line) {
    const std::string_view bare = line.substr(0, line.find_last_not_of(k_plain_blank) + 1);
    if (!bare.ends_with('\\')) {
      return false;
    }
    line = bare.substr(0, bare.size() - 1);
    return line.ends_with('\\') ? std::nullopt : std::optional(true);
  }

  std::expected<void, Unclear> read_instruction() {
    const std::size_t first = at_;
    std::string joined;
    for (bool continues = true; continues && at_ < lines_.size(); ++at_) {
      std::string_view line = lines_[at_];
      const std::string_view bare = without_leading_blanks(line);
      if (at_ != first && (bare.empty() || bare.starts_with('#'))) {
        continue;
      }
      if (at_ != first && !begins_clearly(bare)) {
        return unclear(at_, "begins with an unusual blank; remove it");
      }
      const auto joins = take_continuation(line);
      if (!joins) {
        return unclear(at_, "ends with two backslashes; write it without them");
      }
      continues = *joins;
      joined += at_ == first ? without_leading_blanks(line) : line;
    }
    auto read = instruction_of(first, joined, false);
    if (!read) {
      return std::unexpected(std::move(read).error());
    }
    const std::string keyword = read->keyword;
    instructions_.push_back(*std::move(read));
    if (!joined.contains("<<")) {
      return {};
    }
    if (instructions_.back().is_trigger) {
      return unclear(first, "has << in an ONBUILD; write it without a heredoc");
    }
    return keyword == "run" || keyword == "copy" || keyword == "add"
               ? skip_heredocs(first, joined)
               : std::expected<void, Unclear>();
  }

  static std::expected<PlainInstruction, Unclear> instruction_of(std::size_t index,
                                                                 std::string_view text,
                                                                 bool is_trigger) {
    PlainInstruction read{
        .line = index + 1, .keyword = {}, .flags = {}, .arguments = {}, .is_trigger = is_trigger};
    const std::size_t size = std::min(text.find_first_of(k_plain_blank), text.size());
    read.keyword = lower_case(text.substr(0, size));
    // A newer frontend may have more of them, which take images from elsewhere.
    if (std::ranges::find(k_keywords, upper_case(read.keyword)) == k_keywords.end()) {
      return unclear(index, "begins with no name of an instruction that is known here; write one");
    }
    text = without_leading_blanks(text.substr(size));
    if (read.keyword == "onbuild") {
      return is_trigger ? unclear(index, "has an ONBUILD of an ONBUILD; write it once")
                        : instruction_of(index, text, true);
    }
    while (text.starts_with("--")) {
      auto flag = take_flag(text);
      if (!flag) {
        return unclear(index,
                       "has an option with an escape or an unusual character in it; write "
                       "it in plain letters");
      }
      if (*flag == "--") {
        break;
      }
      read.flags.push_back(*std::move(flag));
      text = without_leading_blanks(text);
    }
    const bool is_name = read.keyword == "from" || read.keyword == "arg";
    if (!begins_clearly(text) || (is_name && !std::ranges::all_of(text, is_plain))) {
      return unclear(index,
                     "has a character that is not ASCII where a name or an option may stand; "
                     "replace it");
    }
    read.arguments = trimmed(text, k_plain_blank);
    return read;
  }

  /// Up to the next blank, without quotes; nullopt: with an escape, an open quote or other than
  /// plain characters in it.
  static std::optional<std::string> take_flag(std::string_view& text) {
    std::string flag;
    char quote = '\0';
    std::size_t at = 0;
    for (; at < text.size() && (quote != '\0' || !k_plain_blank.contains(text[at])); ++at) {
      const char c = text[at];
      if (!is_plain(c) || c == '\\') {
        return std::nullopt;
      }
      if (quote == '\0' ? c == '"' || c == '\'' : c == quote) {
        quote = quote == '\0' ? c : '\0';
      } else {
        flag += c;
      }
    }
    text.remove_prefix(at);
    return quote == '\0' ? std::optional(std::move(flag)) : std::nullopt;
  }

  /// A frontend without heredocs takes their lines for instructions: it then fails at the word that
  /// ends one, which must be no instruction, nor belong to one.
  std::expected<void, Unclear> skip_heredocs(std::size_t index, std::string_view joined) {
    constexpr std::string_view k_advice = "has a heredoc that cannot be told for sure; write <<EOF";
    const auto words = written_words(joined);
    if (!words || !std::ranges::all_of(joined, is_plain) ||
        !std::ranges::all_of(*words, has_whole_braces)) {
      return unclear(index, k_advice);
    }
    for (const std::string& word : *words) {
      const auto heredoc = heredoc_of(word);
      if (!heredoc) {
        return unclear(index, k_advice);
      }
      if (!heredoc->end.empty()) {
        if (auto skipped = skip_body(index, *heredoc); !skipped) {
          return skipped;
        }
      }
    }
    return {};
  }

  /// Every `${` of the word ends in it, and holds no quote.
  static bool has_whole_braces(const std::string& word) {
    for (std::size_t at = word.find("${"); at != std::string::npos; at = word.find("${", at + 2)) {
      const std::size_t end = word.find('}', at);
      if (end == std::string::npos ||
          word.substr(at, end - at).find_first_of("\"'\\") != std::string::npos) {
        return false;
      }
    }
    return true;
  }

  /// The heredoc that a word opens, with an empty end where it opens none; nullopt: it may open
  /// one.
  static std::optional<Heredoc> heredoc_of(std::string_view word) {
    while (!word.empty() && is_digit(word.front())) {
      word.remove_prefix(1);
    }
    if (!word.starts_with("<<") || word.starts_with("<<<")) {
      return Heredoc{};
    }
    Heredoc heredoc{.end = {}, .drops_tabs = word.starts_with("<<-")};
    word.remove_prefix(heredoc.drops_tabs ? 3 : 2);
    if (word.size() > 2 && (word.front() == '"' || word.front() == '\'') &&
        word.back() == word.front()) {
      word = word.substr(1, word.size() - 2);
    }
    heredoc.end = word;
    const bool is_name =
        !word.empty() && is_of_variable(word.front()) &&
        std::ranges::all_of(word, [](char c) { return is_of_variable(c) || c == '.' || c == '-'; });
    const bool is_keyword = std::ranges::find(k_keywords, upper_case(word)) != k_keywords.end();
    return is_name && !is_keyword ? std::optional(std::move(heredoc)) : std::nullopt;
  }

  std::expected<void, Unclear> skip_body(std::size_t index, const Heredoc& heredoc) {
    bool joins = false;
    for (; at_ < lines_.size(); ++at_) {
      std::string_view line = lines_[at_];
      if (heredoc.drops_tabs) {
        line.remove_prefix(std::min(line.find_first_not_of('\t'), line.size()));
      }
      if (line == heredoc.end) {
        ++at_;
        return joins ? unclear(index,
                               "has a heredoc whose last line ends with a backslash; write "
                               "it without")
                     : std::expected<void, Unclear>();
      }
      // What may be a comment, or nothing, goes on as before.
      const auto text = std::ranges::find_if(line, [](char c) { return c > ' ' && c <= '~'; });
      joins =
          text == line.end() || *text == '#' ? joins : trimmed(line, k_plain_blank).ends_with('\\');
    }
    return unclear(index, "has a heredoc without an end; end it");
  }

  std::vector<std::string_view> lines_;
  std::size_t at_ = 0;
  std::vector<PlainInstruction> instructions_;
};

/// What ARGs in front of the first FROM make of a name.
class BaseArguments {
 public:
  explicit BaseArguments(const GivenArguments& given) : given_(given) {}

  void define(std::string_view arguments) {
    const auto words = written_words(arguments);
    for (const std::string& word : words.value_or(std::vector<std::string>())) {
      const std::size_t equals = std::min(word.find('='), word.size());
      const std::string name = word.substr(0, equals);
      const auto given = given_.find(name);
      if (given != given_.end()) {
        values_[name] = given->second;
      } else if (equals < word.size()) {
        values_[name] = expand(std::string_view(word).substr(equals + 1));
      }
    }
    knows_all_ = knows_all_ && words.has_value();
  }

  /// nullopt: it cannot be told here.
  [[nodiscard]] std::optional<std::string> expand(std::string_view word) const {
    bool is_literal = false;
    if (word.size() >= 2 && (word.front() == '"' || word.front() == '\'') &&
        word.back() == word.front()) {
      is_literal = word.front() == '\'';
      word = word.substr(1, word.size() - 2);
    }
    if (word.find_first_of("\"'\\") != std::string_view::npos ||
        (is_literal && word.contains('$'))) {
      return std::nullopt;
    }
    std::string text;
    while (!word.empty()) {
      const std::size_t dollar = std::min(word.find('$'), word.size());
      text += word.substr(0, dollar);
      word.remove_prefix(dollar);
      if (!word.empty()) {
        const auto value = take_variable(word);
        if (!value || text.size() + value->size() > k_longest) {
          return std::nullopt;
        }
        text += *value;
      }
    }
    return text;
  }

 private:
  static constexpr std::size_t k_longest = 1'000;

  /// Takes `$NAME`, `${NAME}`, `${NAME:-…}` or `${NAME:+…}` off `word`.
  std::optional<std::string> take_variable(std::string_view& word) const {
    word.remove_prefix(1);
    const bool braces = word.starts_with('{');
    word.remove_prefix(braces ? 1 : 0);
    const auto end = std::ranges::find_if_not(word, is_of_variable);
    const std::string name(word.begin(), end);
    word.remove_prefix(name.size());
    if (!knows_all_ || name.empty() || is_digit(name.front()) ||
        domain::is_reserved_argument(name)) {
      return std::nullopt;
    }
    const auto found = values_.find(name);
    std::optional<std::string> value =
        found == values_.end() ? std::optional<std::string>("") : found->second;
    if (!braces) {
      return value;
    }
    const std::size_t close = word.find('}');
    if (close == std::string_view::npos || !value) {
      return std::nullopt;
    }
    std::string_view otherwise = word.substr(0, close);
    word.remove_prefix(close + 1);
    if (otherwise.empty()) {
      return value;
    }
    const bool if_empty = otherwise.starts_with(":-");
    if ((!if_empty && !otherwise.starts_with(":+")) || otherwise.contains('$')) {
      return std::nullopt;
    }
    return value->empty() == if_empty ? std::string(otherwise.substr(2))
           : if_empty                 ? value
                                      : std::string();
  }

  const GivenArguments& given_;
  std::map<std::string, std::optional<std::string>> values_;
  bool knows_all_ = true;
};

class ImageReader {
 public:
  explicit ImageReader(const GivenArguments& given) : variables_(given) {}

  std::vector<PlainImage> read(const std::vector<PlainInstruction>& instructions) && {
    for (const PlainInstruction& instruction : instructions) {
      if (instruction.keyword == "from" && !instruction.is_trigger) {
        read_from(instruction);
      } else if (instruction.keyword == "arg" && !instruction.is_trigger && count_ == 0) {
        variables_.define(instruction.arguments);
      }
      for (const std::string& flag : instruction.flags) {
        read_flag(instruction, flag);
      }
    }
    return std::move(images_);
  }

 private:
  void read_from(const PlainInstruction& from) {
    stages_.insert(stage_);
    const auto words = written_words(from.arguments).value_or(std::vector<std::string>());
    const std::string written = words.empty() ? from.arguments : words.front();
    auto name = variables_.expand(written);
    if (!name || (*name != "scratch" && (name->empty() || !stages_.contains(*name)))) {
      images_.push_back({.line = from.line, .name = std::move(name), .written = written});
    }
    stage_ = words.size() == 3 ? lower_case(words[2]) : std::string();
    ++count_;
  }

  void read_flag(const PlainInstruction& instruction, std::string_view flag) {
    constexpr std::string_view k_from = "--from=";
    constexpr std::string_view k_mount = "--mount=";
    const std::string lower = lower_case(flag);
    if (lower.starts_with(k_from)) {
      add(instruction, flag.substr(k_from.size()));
    } else if (lower.starts_with(k_mount)) {
      for (std::string_view rest = flag.substr(k_mount.size()); !rest.empty();) {
        const std::string_view field = rest.substr(0, rest.find(','));
        rest.remove_prefix(std::min(field.size() + 1, rest.size()));
        const std::size_t equals = std::min(field.find('='), field.size());
        const std::string key = lower_case(trimmed(field.substr(0, equals), k_plain_blank));
        if (key == "from") {
          add(instruction, field.substr(std::min(equals + 1, field.size())));
        } else if (field.find_first_of("\"'\\") != std::string_view::npos || key.contains('$')) {
          // In quotes of CSV that were escaped.
          images_.push_back({.line = instruction.line, .name = {}, .written = std::string(flag)});
        }
      }
    }
  }

  void add(const PlainInstruction& instruction, std::string_view written) {
    const bool is_clear = written.find_first_of("$\"'\\") == std::string_view::npos;
    const bool is_stage =
        !instruction.is_trigger && (stages_.contains(lower_case(written)) ||
                                    (instruction.keyword == "copy" && is_earlier_stage(written)));
    if (is_clear && !written.empty() && (is_stage || written == "scratch")) {
      return;
    }
    images_.push_back({.line = instruction.line,
                       .name = is_clear ? std::optional(std::string(written)) : std::nullopt,
                       .written = std::string(written)});
  }

  /// By its number.
  [[nodiscard]] bool is_earlier_stage(std::string_view written) const {
    constexpr std::size_t k_most_digits = 5;
    if (written.empty() || written.size() > k_most_digits ||
        !std::ranges::all_of(written, is_digit)) {
      return false;
    }
    return std::stoul(std::string(written)) + 1 < count_;
  }

  BaseArguments variables_;
  std::vector<PlainImage> images_;
  std::set<std::string> stages_;  ///< Those that have ended; lower case.
  std::string stage_;             ///< The one that is read.
  std::size_t count_ = 0;
};

}  // namespace

std::string PlainInstruction::text() const {
  std::string written = keyword;
  for (const std::string& flag : flags) {
    written += " " + flag;
  }
  return written + " " + arguments;
}

std::expected<std::vector<PlainInstruction>, Unclear> read_plainly(std::string_view dockerfile) {
  return PlainReader(dockerfile).read();
}

std::vector<PlainImage> images_of(const std::vector<PlainInstruction>& instructions,
                                  const GivenArguments& given) {
  return ImageReader(given).read(instructions);
}

}  // namespace builder::adapters::buildkit
