#include "adapters/buildkit/diagnosis/syntax_advice.hpp"

#include "base/spelling.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

struct Flag {
  std::string_view keyword;
  std::string_view name;
  bool is_newer;  ///< Than the frontend of BuildKit 0.8, the oldest engine in use.
};

// The flags of docker/dockerfile 1.x.
constexpr std::array k_flags = std::to_array<Flag>({
    {"FROM", "platform", false},
    {"COPY", "from", false},
    {"COPY", "chown", false},
    {"COPY", "chmod", false},
    {"COPY", "link", true},
    {"COPY", "parents", true},
    {"COPY", "exclude", true},
    {"ADD", "chown", false},
    {"ADD", "chmod", false},
    {"ADD", "link", true},
    {"ADD", "exclude", true},
    {"ADD", "checksum", true},
    {"ADD", "keep-git-dir", true},
    {"ADD", "unpack", true},
    {"RUN", "mount", false},
    {"RUN", "network", true},
    {"RUN", "security", true},
    {"RUN", "device", true},
    {"HEALTHCHECK", "interval", false},
    {"HEALTHCHECK", "timeout", false},
    {"HEALTHCHECK", "start-period", false},
    {"HEALTHCHECK", "start-interval", true},
    {"HEALTHCHECK", "retries", false},
});

constexpr std::array k_mount_options = std::to_array<std::string_view>(
    {"type", "from", "source", "target", "readonly", "id", "sharing", "required", "mode", "uid",
     "gid", "rw", "size", "env"});
constexpr std::array k_newer_mount_options = std::to_array<std::string_view>({"size", "env"});

// Hyphen, non-breaking hyphen, figure, en and em dash, bar, minus, small and full-width hyphen.
constexpr std::array k_dashes = std::to_array<std::string_view>(
    {"\u2010", "\u2011", "\u2012", "\u2013", "\u2014", "\u2015", "\u2212", "\uFE63", "\uFF0D"});
constexpr std::array k_quotes = std::to_array<std::string_view>(
    {"\u2018", "\u2019", "\u201A", "\u201C", "\u201D", "\u201E", "\u00AB", "\u00BB"});

bool is_among(std::span<const std::string_view> known, std::string_view word) {
  return std::ranges::find(known, word) != known.end();
}

std::vector<std::string_view> flags_of(std::string_view keyword) {
  std::vector<std::string_view> names;
  for (const Flag& flag : k_flags) {
    if (flag.keyword == keyword) {
      names.push_back(flag.name);
    }
  }
  return names;
}

/// Takes dashes that are none off the front; false when there are none.
bool take_dashes(std::string_view& word) {
  bool any = false;
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view dash : k_dashes) {
      if (word.starts_with(dash)) {
        word.remove_prefix(dash.size());
        any = again = true;
      }
    }
    if (any && word.starts_with('-')) {
      word.remove_prefix(1);
      again = true;
    }
  }
  return any;
}

}  // namespace

std::string newer_flag(std::string_view keyword, std::string_view flag) {
  const bool is_newer = std::ranges::any_of(k_flags, [&](const Flag& known) {
    return known.is_newer && known.keyword == keyword && known.name == flag;
  });
  return is_newer ? fmt::format("{} --{}", keyword, flag) : "";
}

std::string newer_mount_option(std::string_view option) {
  return is_among(k_newer_mount_options, option) ? fmt::format("the mount option {}=", option) : "";
}

std::string nearest_flag(std::string_view keyword, std::string_view flag) {
  return nearest_word(flag, flags_of(keyword));
}

std::string nearest_keyword(std::string_view word) {
  return nearest_word(word, k_keywords);
}

std::string nearest_mount_option(std::string_view option) {
  return nearest_word(option, k_mount_options);
}

std::string misread_flag(const Instruction& instruction) {
  const std::vector<std::string_view> known = flags_of(instruction.keyword);
  for (const std::string& word : parts_of(instruction.text).words) {
    std::string_view name = word;
    const bool is_typographic = take_dashes(name);
    const bool is_single = !is_typographic && name.starts_with('-');
    name.remove_prefix(is_single ? 1 : 0);
    if (!is_typographic && !is_single) {
      break;  // Flags stand before everything else.
    }
    if (is_among(known, name.substr(0, name.find('=')))) {
      return fmt::format("\"{}\" begins with {}, not with two plain dashes; type --{}",
                         truncate_characters(printable_columns(word), 60),
                         is_typographic ? "a typographic dash" : "one dash",
                         truncate_characters(printable_columns(name), 60));
    }
  }
  return {};
}

std::string typographic_quotes(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const std::string_view quote : k_quotes) {
      if (text.substr(i).starts_with(quote)) {
        return std::string(quote);
      }
    }
  }
  return {};
}

TextFault encoding_fault(std::string_view text) {
  const bool has_mark = text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF");
  // Without a mark: every other byte of what should be ASCII is a NUL.
  const std::string_view begin = text.substr(0, 64);
  const auto zeros = static_cast<std::size_t>(std::ranges::count(begin, '\0'));
  if (has_mark || (zeros > 0 && zeros * 3 > begin.size())) {
    return {.line = 1, .sentence = "the file is saved as UTF-16; save it as UTF-8"};
  }
  if (const std::size_t at = text.find('\0'); at != std::string_view::npos) {
    const auto ends = std::ranges::count(text.substr(0, at), '\n');
    return {.line = static_cast<std::size_t>(ends) + 1,
            .sentence = "this line holds NUL characters; the file has to be plain text in UTF-8"};
  }
  return {};
}

TextFault first_line_not_utf8(const Dockerfile& file) {
  for (std::size_t i = 0; i < file.lines().size(); ++i) {
    if (!is_utf8(file.lines()[i])) {
      return {.line = i + 1,
              .sentence = "this line holds bytes that are not UTF-8; save the file as UTF-8"};
    }
  }
  return {};
}

TextFault first_long_line(const Dockerfile& file) {
  constexpr std::size_t k_longest = 65'535;  // bufio.MaxScanTokenSize in Go, with the line end.
  for (std::size_t i = 0; i < file.lines().size(); ++i) {
    if (file.lines()[i].size() >= k_longest) {
      return {.line = i + 1,
              .sentence =
                  "this line is longer than 65,535 bytes; put its content into a file and "
                  "COPY it"};
    }
  }
  return {};
}

}  // namespace builder::adapters::buildkit
