#include "base/redactor.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <cctype>
#include <optional>

namespace builder {

namespace {

constexpr std::size_t k_shortest_needle = 6;
constexpr std::size_t k_shortest_line = 8;
/// Words longer than this are not kept back as a whole.
constexpr std::size_t k_longest_open_word = 4'096;

constexpr std::array<std::string_view, 14> k_common_words{
    "production", "development", "staging",   "default", "localhost", "password", "secret",
    "changeme",   "undefined",   "127.0.0.1", "0.0.0.0", "example",   "string",   "builder"};

/// The characters of base64 that depend on `data` alone when it stands behind `phase` other bytes
/// and before unknown ones.
std::string base64_core(std::string_view data, std::size_t phase) {
  const std::string encoded = base64_encode(std::string(phase, '\0') + std::string(data));
  const std::size_t first = phase == 0 ? 0 : phase + 1;
  const std::size_t last = (phase + data.size()) * 8 / 6;
  return encoded.substr(first, last - first);
}

std::string percent_encoded(std::string_view text, bool upper, bool form) {
  const char* digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
  std::string out;
  for (const char raw : text) {
    const auto c = static_cast<unsigned char>(raw);
    if (std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '~') {
      out += static_cast<char>(c);
    } else if (form && c == ' ') {
      out += '+';
    } else {
      out += '%';
      out += digits[c >> 4u];
      out += digits[c & 15u];
    }
  }
  return out;
}

std::string json_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '"':
      case '\\':
        out += '\\';
        out += c;
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += c;
    }
  }
  return out;
}

bool is_common(std::string_view value) {
  return std::ranges::find(k_common_words, value) != k_common_words.end();
}

bool is_token_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::uint16_t pair_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(text[at]) << 8u |
                                    static_cast<unsigned char>(text[at + 1]));
}

struct TokenShape {
  std::string_view prefix;
  std::size_t shortest;  ///< Characters behind the prefix.
};

constexpr std::array<TokenShape, 8> k_token_shapes{{{"ghp_", 20},
                                                    {"gho_", 20},
                                                    {"ghu_", 20},
                                                    {"ghs_", 20},
                                                    {"ghr_", 20},
                                                    {"github_pat_", 20},
                                                    {"AKIA", 16},
                                                    {"ASIA", 16}}};

/// The end of a credential that begins at `at` by its shape; `at` when there is none.
std::size_t token_end(std::string_view text, std::size_t at) {
  if (at > 0 && is_token_char(text[at - 1])) {
    return at;
  }
  for (const TokenShape& shape : k_token_shapes) {
    if (text.substr(at).starts_with(shape.prefix)) {
      std::size_t end = at + shape.prefix.size();
      while (end < text.size() && is_token_char(text[end])) {
        ++end;
      }
      return end - at >= shape.prefix.size() + shape.shortest ? end : at;
    }
  }
  return at;
}

/// The `user:password` of a URL whose "://" stands at `at`; empty range when it has none.
std::pair<std::size_t, std::size_t> userinfo(std::string_view text, std::size_t at) {
  const std::size_t begin = at + 3;
  std::size_t end = begin;
  std::size_t at_sign = begin;
  bool colon = false;
  while (end < text.size() && !is_space(text[end]) && text[end] != '/' && text[end] != '"' &&
         text[end] != '\'') {
    colon = colon || text[end] == ':';
    if (text[end] == '@' && colon) {
      at_sign = end;
    }
    ++end;
  }
  return {begin, at_sign};
}

constexpr std::array<std::string_view, 5> k_schemes{"Basic", "Bearer", "basic", "bearer", "token"};

/// Where the last word in front of `end` begins, blanks behind it included.
std::size_t word_before(std::string_view text, std::size_t end) {
  while (end > 0 && is_space(text[end - 1])) {
    --end;
  }
  while (end > 0 && !is_space(text[end - 1])) {
    --end;
  }
  return end;
}

/// Whether the word behind this one may be the value of an Authorization header.
bool announces_value(std::string_view word) {
  word = word.substr(0, word.find_first_of(" \t\r\n"));
  return word.ends_with(':') || word.ends_with('=') ||
         std::ranges::find(k_schemes, word) != k_schemes.end();
}

/// The value behind an `Authorization:` (or `=`) that begins at `at`.
std::optional<std::pair<std::size_t, std::size_t>> authorization(std::string_view text,
                                                                 std::size_t at) {
  constexpr std::string_view k_word = "authorization";
  if (text.size() - at < k_word.size() + 2) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < k_word.size(); ++i) {
    if (std::tolower(static_cast<unsigned char>(text[at + i])) != k_word[i]) {
      return std::nullopt;
    }
  }
  std::size_t begin = at + k_word.size();
  if (text[begin] != ':' && text[begin] != '=') {
    return std::nullopt;
  }
  ++begin;
  const auto skip_spaces = [&] {
    while (begin < text.size() && text[begin] == ' ') {
      ++begin;
    }
  };
  skip_spaces();
  for (const std::string_view scheme : k_schemes) {
    if (text.substr(begin).starts_with(scheme) &&
        text.substr(begin + scheme.size()).starts_with(' ')) {
      begin += scheme.size();
      skip_spaces();
      break;
    }
  }
  std::size_t end = begin;
  while (end < text.size() && !is_space(text[end]) && text[end] != '"' && text[end] != '\'') {
    ++end;
  }
  if (end - begin < k_shortest_needle) {
    return std::nullopt;
  }
  return std::pair(begin, end);
}

}  // namespace

Redactor::Redactor(const std::vector<NamedSecret>& secrets) {
  for (const NamedSecret& secret : secrets) {
    const std::string& value = secret.value.reveal();
    if (value.empty()) {
      continue;
    }
    if (value.size() < k_shortest_needle || is_common(value)) {
      skipped_.push_back(secret.name);
      continue;
    }
    add_needle(value);
    add_needle(json_escaped(value));
    for (const bool upper : {true, false}) {
      add_needle(percent_encoded(value, upper, false));
      add_needle(percent_encoded(value, upper, true));
      add_needle(hex(value, upper));
    }
    for (const std::size_t phase : {0u, 1u, 2u}) {
      std::string core = base64_core(value, phase);
      add_needle(core);
      std::ranges::replace(core, '+', '-');
      std::ranges::replace(core, '/', '_');
      add_needle(core);
    }
    if (value.contains('\n')) {
      std::string_view rest = value;
      while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\n'), rest.size());
        if (end >= k_shortest_line) {
          add_needle(std::string(rest.substr(0, end)));
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
    }
  }
  index();
}

void Redactor::add_needle(std::string needle) {
  if (needle.size() >= k_shortest_needle) {
    needles_.push_back(std::move(needle));
  }
}

void Redactor::index() {
  std::ranges::sort(needles_);
  needles_.erase(std::ranges::unique(needles_).begin(), needles_.end());
  for (const std::string& needle : needles_) {
    longest_ = std::max(longest_, needle.size());
    starts_.set(pair_at(needle, 0));
  }
}

std::size_t Redactor::longest_match(std::string_view text, std::size_t at) const {
  const std::string_view rest = text.substr(at);
  // Needles that are prefixes of `rest` sort at or before it; those with another first pair end the
  // search.
  auto needle = std::ranges::upper_bound(needles_, rest);
  while (needle != needles_.begin()) {
    --needle;
    if (rest.starts_with(*needle)) {
      return needle->size();
    }
    if (needle->compare(0, 2, rest.substr(0, 2)) != 0) {
      break;
    }
  }
  return 0;
}

std::vector<Redactor::Region> Redactor::find(std::string_view text) const {
  std::vector<Region> regions;
  const auto add = [&](std::size_t begin, std::size_t end) {
    if (!regions.empty() && begin < regions.back().end) {
      regions.back().end = std::max(regions.back().end, end);
    } else {
      regions.push_back({begin, end});
    }
  };
  std::vector<Region> later;  // The value of a pattern may begin behind the pattern itself.
  for (std::size_t at = 0; at + 1 < text.size(); ++at) {
    while (!later.empty() && later.front().begin <= at) {
      add(later.front().begin, later.front().end);
      later.erase(later.begin());
    }
    const char c = text[at];
    if (starts_.test(pair_at(text, at))) {
      if (const std::size_t length = longest_match(text, at); length > 0) {
        add(at, at + length);
      }
    }
    if (c == 'g' || c == 'A') {
      if (const std::size_t end = token_end(text, at); end > at) {
        add(at, end);
      }
    }
    if (c == ':' && text.substr(at).starts_with("://")) {
      const auto [begin, end] = userinfo(text, at);
      if (end > begin) {
        later.push_back({begin, end});
      }
    }
    if (c == 'a' || c == 'A') {
      if (const auto value = authorization(text, at)) {
        later.push_back({value->first, value->second});
      }
    }
  }
  for (const Region& region : later) {
    add(region.begin, region.end);
  }
  return regions;
}

std::size_t Redactor::open_tail(std::string_view text) const {
  // The word at the end may go on, and stays with the words that decide its meaning: the shapes
  // above are single words but for "Authorization: Basic VALUE".
  std::size_t tail = text.size();
  for (std::size_t begin = word_before(text, tail);
       begin < tail && text.size() - begin < k_longest_open_word &&
       (tail == text.size() || announces_value(text.substr(begin, tail - begin)));
       begin = word_before(text, tail)) {
    tail = begin;
  }
  const std::size_t reach = longest_ > 0 ? longest_ - 1 : 0;
  for (std::size_t at = text.size() - std::min(text.size(), reach); at < tail; ++at) {
    const std::string_view end = text.substr(at);
    const auto needle = std::ranges::lower_bound(needles_, end);
    if (needle != needles_.end() && needle->size() > end.size() && needle->starts_with(end)) {
      return at;
    }
  }
  return tail;
}

std::string Redactor::redact(std::string_view text) const {
  const std::vector<Region> regions = find(text);
  if (regions.empty()) {
    return std::string(text);
  }
  std::string out;
  std::size_t done = 0;
  for (const Region& region : regions) {
    out += text.substr(done, region.begin - done);
    out += k_replacement;
    done = region.end;
  }
  out += text.substr(done);
  return out;
}

std::string RedactingStream::feed(std::string_view chunk) {
  buffer_ += chunk;
  std::size_t cut = redactor_->open_tail(buffer_);
  for (const Redactor::Region& region : redactor_->find(buffer_)) {
    if (region.begin < cut && cut < region.end) {
      cut = region.begin;
    }
  }
  std::string out = redactor_->redact(std::string_view(buffer_).substr(0, cut));
  buffer_.erase(0, cut);
  return out;
}

std::string RedactingStream::finish() {
  std::string out = redactor_->redact(buffer_);
  buffer_.clear();
  return out;
}

}  // namespace builder
