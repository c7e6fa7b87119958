#include "domain/image_secrets.hpp"

#include "base/guessing.hpp"
#include "base/text.hpp"
#include "base/text_forms.hpp"
#include "domain/request_secrets.hpp"
#include "domain/variable_delivery.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <set>
#include <utility>

namespace builder::domain {

namespace {

constexpr std::size_t k_shortest = 8;
/// What is easier to guess stands in any large image by chance.
constexpr double k_fewest_bits = 32;
/// Parts of an encoded value that are looked for by themselves: rows of encoded text break
/// anywhere.
constexpr std::size_t k_longest_part = 12;
/// Of a longer value, some row shows a part of its front.
constexpr std::size_t k_front = 240;
/// What is longer has its escapes looked for in JSON only; its lines are looked for anyway.
constexpr std::size_t k_long = 512;
/// Of a value with several lines (a key), the lines that are looked for by themselves.
constexpr std::size_t k_most_lines = 16;

bool is_strong(std::string_view value) {
  return value.size() >= k_shortest && guessing_bits(value) >= k_fewest_bits;
}

bool fits(std::string_view pattern, std::string_view name) {
  // The last `*` takes as much as it has to, and the ones before as little as they can.
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resumed = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resumed = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resumed;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

/// `text` with what `escape` makes of each character.
template <class Escape>
std::string escaped(std::string_view text, Escape escape) {
  std::string out;
  for (const char c : text) {
    out += escape(c);
  }
  return out;
}

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::isalnum(byte) != 0 || byte >= 0x80;
}

std::string percent_form(std::string_view value, std::string_view kept, bool upper) {
  return escaped(value, [&](char c) {
    const bool keeps = std::isalnum(static_cast<unsigned char>(c)) != 0 || kept.contains(c);
    return keeps ? std::string(1, c) : "%" + hex(std::string_view(&c, 1), upper);
  });
}

/// `solidus`: as PHP writes it. `unicode`: marks of HTML too, as Go and Rails do.
std::string json_form(std::string_view value, bool solidus, bool unicode) {
  return escaped(value, [&](char c) -> std::string {
    switch (c) {
      case '"':
      case '\\':
        return std::string("\\") + c;
      case '/':
        return solidus ? "\\/" : "/";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      default:
        return unicode && std::string_view("<>&'").contains(c)
                   ? fmt::format("\\u{:04x}", static_cast<unsigned char>(c))
                   : std::string(1, c);
    }
  });
}

/// `numbers`: apostrophes and quotes by their numbers, as most libraries do.
std::string html_form(std::string_view value, std::string_view quote, std::string_view apostrophe) {
  return escaped(value, [&](char c) -> std::string {
    switch (c) {
      case '&':
        return "&amp;";
      case '<':
        return "&lt;";
      case '>':
        return "&gt;";
      case '"':
        return std::string(quote);
      case '\'':
        return std::string(apostrophe);
      default:
        return std::string(1, c);
    }
  });
}

std::string shell_form(std::string_view value, std::string_view marks,
                       std::string_view apostrophe) {
  return escaped(value, [&](char c) -> std::string {
    if (c == '\'' && !apostrophe.empty()) {
      return std::string(apostrophe);
    }
    return marks.contains(c) ? std::string("\\") + c : std::string(1, c);
  });
}

std::string utf16_form(std::string_view value) {
  return escaped(value, [](char c) { return std::string{c, '\0'}; });
}

/// As files hold it. Those that are alike count once.
std::set<std::string> plain_forms(std::string_view value) {
  constexpr std::string_view k_unreserved = "-._~";
  std::set<std::string> forms{std::string(value)};
  if (std::ranges::all_of(value, is_plain)) {
    return forms;
  }
  if (value.size() > k_long) {
    forms.insert(json_form(value, false, false));
    return forms;
  }
  std::string quoted_by_c;  // bash's printf %q, and ${x@Q} of what it takes so.
  for (const char c : value) {
    quoted_by_c += (is_plain(c) || k_unreserved.contains(c) ? "" : "\\") + std::string(1, c);
  }
  forms.insert(std::move(quoted_by_c));
  for (const bool upper : {true, false}) {
    forms.insert(percent_form(value, k_unreserved, upper));
    forms.insert(percent_form(value, "-._~!*'()", upper));  // encodeURIComponent.
    forms.insert(percent_form(value, "-._~!*'();/?:@&=+$,#", upper));
    std::string form = percent_form(value, "-._ ", upper);  // Of forms.
    std::ranges::replace(form, ' ', '+');
    forms.insert(std::move(form));
  }
  for (const bool solidus : {false, true}) {
    for (const bool unicode : {false, true}) {
      forms.insert(json_form(value, solidus, unicode));
    }
  }
  for (const std::string_view apostrophe : {"'", "&#39;", "&#x27;", "&#039;", "&apos;"}) {
    forms.insert(html_form(value, "&quot;", apostrophe));
    forms.insert(html_form(value, "&#34;", apostrophe));
    forms.insert(html_form(value, "\"", apostrophe));
  }
  forms.insert(shell_form(value, "", "'\\''"));
  forms.insert(shell_form(value, "", "'\"'\"'"));
  forms.insert(shell_form(value, "\\", "\\'"));  // $'…', and most languages.
  forms.insert(shell_form(value, "\"\\$`", ""));
  forms.insert(shell_form(value, "\"\\$", ""));
  return forms;
}

/// Parts of a value of which encoded rows show at least one, if each of them tells enough.
std::vector<std::string_view> parts_of_rows(std::string_view value) {
  const std::size_t size = std::clamp(value.size() / 2, k_shortest, k_longest_part);
  const std::string_view front = value.substr(0, k_front);
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at + size <= front.size(); at += size) {
    parts.push_back(front.substr(at, size));
  }
  parts.push_back(front.substr(front.size() - std::min(size, front.size())));
  std::erase_if(parts, [](std::string_view part) { return !is_strong(part); });
  return parts;
}

/// Of a value with several, those that tell enough.
std::vector<std::string_view> lines_of(std::string_view value) {
  std::vector<std::string_view> lines;
  while (value.contains('\n') && lines.size() < k_most_lines) {
    std::string_view line = value.substr(0, value.find('\n'));
    value.remove_prefix(line.size() + 1);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    // "-----BEGIN PRIVATE KEY-----" is in many images.
    if (is_strong(line) && !line.starts_with("-----")) {
      lines.push_back(line);
    }
  }
  return lines;
}

/// `61:62`, and what else stands between the digits of two bytes.
std::string apart(std::string_view digits, std::string_view between) {
  std::string text;
  for (std::size_t at = 0; at + 2 <= digits.size(); at += 2) {
    text += (at == 0 ? "" : std::string(between)) + std::string(digits.substr(at, 2));
  }
  return text;
}

/// In base64 of both alphabets at any place among other bytes, and in hex.
std::set<std::string> encoded_forms(std::string_view value) {
  std::set<std::string> forms{hex(value), hex(value, true)};
  for (const std::size_t phase : {0U, 1U, 2U}) {
    std::string core = base64_core(value, phase);
    forms.insert(core);
    std::ranges::replace(core, '+', '-');
    std::ranges::replace(core, '/', '_');
    forms.insert(std::move(core));
  }
  return forms;
}

/// In base64 and hex with a line end where it leaves no part whole that tells enough: what stands
/// around the line end. `parts` are of `value`.
std::set<std::string> divided_forms(std::string_view value,
                                    const std::vector<std::string_view>& parts) {
  constexpr std::size_t k_around = 2 * k_longest_part;  // Bytes on either side.
  std::size_t begin = 0;
  std::size_t end = std::min(value.size(), k_front);
  for (const std::string_view part : parts) {
    const auto offset = static_cast<std::size_t>(part.data() - value.data());
    begin = std::max(begin, offset);
    end = std::min(end, offset + part.size());
  }
  std::set<std::string> forms;
  // `before`: bits of the value in front of the text; `bits`: what a character of it stands for.
  const auto divide = [&](std::string_view text, std::size_t before, std::size_t bits) {
    const std::size_t around = k_around * 8 / bits;
    for (std::size_t at = 1; at < text.size(); ++at) {
      const std::size_t bit = before + at * bits;
      const std::size_t from = bit / 8 - std::min(bit / 8, k_around);
      if (bit > begin * 8 && bit < end * 8 && is_strong(value.substr(from, 2 * k_around))) {
        const std::size_t first = at - std::min(at, around);
        forms.insert(std::string(text.substr(first, at - first)) + "\n" +
                     std::string(text.substr(at, around)));
      }
    }
  };
  for (const bool upper : {false, true}) {
    divide(hex(value.substr(0, k_front), upper), 0, 4);
  }
  for (const std::size_t phase : {0U, 1U, 2U}) {
    std::string core = base64_core(value.substr(0, k_front), phase);
    const std::size_t before = (phase * 8 + 5) / 6 * 6 - phase * 8;
    divide(core, before, 6);
    std::ranges::replace(core, '+', '-');
    std::ranges::replace(core, '/', '_');
    divide(core, before, 6);
  }
  return forms;
}

/// In hex with something between the digits of two bytes.
std::set<std::string> spaced_forms(std::string_view value) {
  std::set<std::string> forms;
  for (const bool upper : {false, true}) {
    for (const std::string_view between : {" ", ":", "-", "\\x", ", 0x", ",0x"}) {
      forms.insert(apart(hex(value, upper), between));
    }
  }
  return forms;
}

}  // namespace

Result<SecretNames> SecretNames::parse(const std::vector<std::string>& patterns) {
  SecretNames names;
  for (const std::string& word : patterns) {
    Pattern pattern{.text = word, .is_secret = !word.starts_with('!')};
    pattern.text.erase(0, pattern.is_secret ? 0 : 1);
    const bool is_name = std::ranges::all_of(pattern.text, [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.' || c == '*';
    });
    if (pattern.text.empty() || !is_name) {
      return failure(ErrorKind::invalid_input,
                     "'" + printable_line(word) + "' is no pattern for names of variables");
    }
    names.patterns_.push_back(std::move(pattern));
  }
  return names;
}

bool SecretNames::operator()(std::string_view name) const {
  bool is_secret = is_secret_name(name) && !is_for_browsers(name);
  for (const Pattern& pattern : patterns_) {
    if (fits(pattern.text, name)) {
      is_secret = pattern.is_secret;
    }
  }
  return is_secret;
}

std::vector<NamedSecret> image_secrets(const DeploymentRequest& request, const SecretNames& names) {
  DeploymentRequest known = request;
  // What every browser gets holds no secret, nor what the operator takes out.
  std::erase_if(known.environment, [&](const EnvironmentVariable& variable) {
    return !names(variable.key) && (is_for_browsers(variable.key) || is_secret_name(variable.key));
  });
  return sure_secrets_of(known, names);
}

SoughtSecrets::SoughtSecrets(const std::vector<NamedSecret>& secrets)
    : SoughtSecrets(prepare(secrets)) {
}

SoughtSecrets::SoughtSecrets(Sought sought)
    : names_(std::move(sought.names)), left_out_(std::move(sought.left_out)), needles_([&] {
        std::vector<Needles::Needle> needles;
        for (const auto& [text, secret] : sought.needles) {
          needles.push_back({text});
        }
        return needles;
      }()) {
  for (const auto& [text, secret] : sought.needles) {
    Needles::State state = Needles::k_start;
    for (const char c : text) {
      state = needles_.step(state, c);
    }
    secret_of_.emplace(state, secret);
  }
}

SoughtSecrets::Sought SoughtSecrets::prepare(const std::vector<NamedSecret>& secrets) {
  Sought sought;
  std::size_t room = k_most_bytes;
  /// False: there is no room.
  const auto look_for = [&](std::string text, std::size_t secret) {
    if (text.size() > room) {
      return false;
    }
    const std::size_t size = text.size();
    room -= sought.needles.try_emplace(std::move(text), secret).second ? size : 0;
    return true;
  };
  const auto look_for_all = [&](const std::set<std::string>& forms, std::size_t secret) {
    for (const std::string& form : forms) {
      look_for(form, secret);
    }
  };

  struct Value {
    std::string_view text;
    std::size_t secret;
  };

  std::map<std::string, std::size_t> numbers;
  std::vector<Value> values;
  for (const NamedSecret& secret : secrets) {
    const std::string& value = secret.value.reveal();
    if (value.empty()) {
      continue;
    }
    const auto known = numbers.find(secret.name);
    const std::size_t number = known == numbers.end() ? sought.names.size() : known->second;
    if (!is_strong(value) || !look_for(value, number)) {
      sought.left_out.push_back(secret.name);
      continue;
    }
    if (known == numbers.end()) {
      numbers.emplace(secret.name, number);
      sought.names.push_back(secret.name);
    }
    values.push_back({value, number});
  }
  // What is likelier goes first, should the room end.
  for (const Value& value : values) {
    look_for_all(plain_forms(value.text), value.secret);
    for (const std::string_view line : lines_of(value.text)) {
      look_for_all(plain_forms(line), value.secret);
    }
  }
  std::vector<std::set<std::string>> divided;
  for (const Value& value : values) {
    // Each of them is short: the automaton stays small, and fast.
    std::vector<std::string_view> parts = parts_of_rows(value.text);
    if (parts.empty()) {
      parts.push_back(value.text);
    }
    for (const std::string_view part : parts) {
      look_for_all(encoded_forms(part), value.secret);
    }
    look_for_all(spaced_forms(parts.front()), value.secret);
    look_for(utf16_form(value.text), value.secret);
    divided.push_back(divided_forms(value.text, parts));
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    look_for_all(divided[i], values[i].secret);
  }
  return sought;
}

std::vector<std::size_t> secrets_in(const SoughtSecrets& sought, std::string_view text) {
  std::set<std::size_t> found;
  SecretScanner(sought).feed(text, [&](std::size_t, std::size_t secret) { found.insert(secret); });
  return {found.begin(), found.end()};
}

}  // namespace builder::domain
