#include "adapters/buildkit/diagnosis/source_rules.hpp"

#include "adapters/buildkit/diagnosis/build_error.hpp"
#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "adapters/oci/reference.hpp"
#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <set>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

using moby::buildkit::v1::PolicyRule;
using network::NetworkPolicy;

constexpr std::chrono::seconds k_lookup_limit{3};
constexpr std::string_view k_any_blank = " \t\r\f\v";

// --- Rules for the engine: regular expressions of Go (RE2) over `scheme://…`. ---

constexpr std::string_view k_octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
constexpr std::string_view k_tail = "(:[0-9]*)?([/?#]|$)";
/// Every form of an IPv4 address that some resolver reads: `127.1`, `0x7f000001`, `017700000001`.
constexpr std::string_view k_numeric = "(0x[0-9a-f]*|[0-9]+)(\\.(0x[0-9a-f]*|[0-9]+))*\\.?";

/// `a.b.c.d` with `o` for an octet.
std::string v4(std::string_view pattern) {
  std::string out;
  for (const char c : pattern) {
    if (c == 'o') {
      out += k_octet;
    } else {
      out += c == '.' ? "\\." : std::string(1, c);
    }
  }
  return out;
}

/// Patterns of hosts, as the engine's expressions have them.
struct HostPatterns {
  std::vector<std::string> forbidden;  ///< Under every policy: as `AddressClass::forbidden`.
  std::vector<std::string> loopback;
  std::vector<std::string> own;  ///< Private addresses, and names that only a private network has.
};

HostPatterns host_patterns() {
  HostPatterns hosts;
  for (const std::string_view net : {"0.o.o.o", "169.254.o.o", "192.0.0.o", "100.100.100.200",
                                     "168.63.129.16", "(22[4-9]|23[0-9]|24[0-9]|25[0-5]).o.o.o"}) {
    hosts.forbidden.push_back(v4(net));
  }
  hosts.forbidden.insert(
      hosts.forbidden.end(),
      {"metadata\\.?", "([^/?#@]*\\.)?metadata\\.goog(le\\.internal)?\\.?",
       "instance-data(\\.ec2\\.internal)?\\.?", "\\[(::|fe[89ab]|ff|0+:)[^\\]]*\\]",
       "\\[fd00:0*ec2:[^\\]]*\\]", "\\[fd20:0*ce:[^\\]]*\\]"});
  hosts.loopback = {v4("127.o.o.o"), "([^/?#@:]*\\.)?localhost6?\\.?",
                    "([^/?#@:]*\\.)?localdomain6?\\.?", "ip6-(localhost|loopback)\\.?"};
  for (const std::string_view net :
       {"10.o.o.o", "172.(1[6-9]|2[0-9]|3[01]).o.o", "192.168.o.o",
        "100.(6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7]).o.o", "198.1[89].o.o"}) {
    hosts.own.push_back(v4(net));
  }
  hosts.own.emplace_back(
      "[^/?#@:]*\\.(local|internal|intranet|private|corp|lan|home|svc|home\\.arpa)\\.?");
  return hosts;
}

std::string literal(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += std::string_view(".[]+").contains(c) ? "\\" + std::string(1, c) : std::string(1, c);
  }
  return out;
}

std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  return colon == std::string_view::npos || host.ends_with(']') ? host : host.substr(0, colon);
}

/// The last rule that fits an address decides.
class PolicyWriter {
 public:
  explicit PolicyWriter(moby::buildkit::v1::Policy& policy) : policy_(policy) {}

  void add(PolicyRule::Action action, const std::string& expression) {
    PolicyRule* rule = policy_.add_rules();
    rule->set_action(action);
    rule->mutable_selector()->set_match_type(moby::buildkit::v1::PolicySelector::REGEX);
    rule->mutable_selector()->set_identifier("(?i)^" + expression);
  }

  void deny(const std::string& expression) { add(PolicyRule::DENY, expression); }

  void allow(const std::string& expression) { add(PolicyRule::ALLOW, expression); }

 private:
  moby::buildkit::v1::Policy& policy_;
};

/// `begin`: all that stands in front of the host.
void add_address_rules(PolicyWriter& policy, NetworkPolicy allowed, const std::string& begin) {
  const auto at = [&](const std::string& host) { return begin + host + std::string(k_tail); };
  const HostPatterns hosts = host_patterns();
  if (allowed != NetworkPolicy::any) {
    policy.deny(at(std::string(k_numeric)));
    policy.allow(at(v4("o.o.o.o")));
    // Of IPv6, global addresses that carry no other inside (6to4, Teredo).
    policy.deny(at("\\[[^\\]]*\\]"));
    policy.allow(at("\\[[23][0-9a-f]{3}:[0-9a-f:]*\\]"));
    policy.deny(at("\\[(2002|2001:0*):[^\\]]*\\]"));
    if (allowed == NetworkPolicy::private_networks) {
      policy.allow(at("\\[f[cd][0-9a-f]{2}:[0-9a-f:]*\\]"));
    }
    for (const std::string& host : hosts.loopback) {
      policy.deny(at(host));
    }
    if (allowed == NetworkPolicy::public_only) {
      for (const std::string& host : hosts.own) {
        policy.deny(at(host));
      }
    }
  }
  for (const std::string& host : hosts.forbidden) {
    policy.deny(at(host));
  }
  if (allowed == NetworkPolicy::any) {
    policy.allow(at("\\[::1\\]"));
  }
}

// --- Reading a Dockerfile. ---

std::string_view take_word(std::string_view& text) {
  text = trimmed(text, k_any_blank);
  const std::size_t end = std::min(text.find_first_of(k_any_blank), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

struct LogicalLine {
  std::size_t number = 0;
  std::string text;
};

/// Continuation lines joined. Old frontends join after any escape at the end, newer ones not after
/// a doubled one.
std::vector<LogicalLine> logical_lines(std::string_view text, char escape, bool doubled_ends) {
  std::vector<LogicalLine> lines;
  bool continues = false;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view bare = trimmed(line, k_any_blank);
    if (continues && (bare.empty() || bare.starts_with('#'))) {
      continue;
    }
    line = line.substr(0, line.find_last_not_of(k_any_blank) + 1);
    const bool escaped = line.ends_with(escape) &&
                         !(doubled_ends && line.size() > 1 && line[line.size() - 2] == escape);
    if (escaped) {
      line.remove_suffix(1);
    }
    if (continues) {
      lines.back().text += line;
    } else {
      lines.push_back({.number = number, .text = std::string(line)});
    }
    continues = escaped;
  }
  return lines;
}

/// As a shell would: without quotes and escapes.
std::string unquoted(std::string_view word, char escape) {
  std::string out;
  for (const char c : word) {
    if (c != '"' && c != '\'' && c != escape) {
      out += c;
    }
  }
  return out;
}

/// The flags that `arguments` begins with, taken off it, as BuildKit reads them: blanks may stand
/// in quotes or behind an escape.
std::vector<std::string> take_flags(std::string_view& arguments, char escape) {
  std::vector<std::string> flags;
  for (arguments = trimmed(arguments, k_any_blank); arguments.starts_with("--");
       arguments = trimmed(arguments, k_any_blank)) {
    std::string flag;
    char quote = '\0';
    std::size_t at = 0;
    for (; at < arguments.size() && (quote != '\0' || !k_any_blank.contains(arguments[at])); ++at) {
      const char c = arguments[at];
      if (c == escape && at + 1 < arguments.size()) {
        flag += arguments[++at];
      } else if (quote == '\0' ? c == '"' || c == '\'' : c == quote) {
        quote = quote == '\0' ? c : '\0';
      } else {
        flag += c;
      }
    }
    arguments.remove_prefix(at);
    if (flag == "--") {
      break;
    }
    flags.push_back(std::move(flag));
  }
  return flags;
}

/// The list that `text` begins with: what follows it, old engines do not read.
std::string_view leading_list(std::string_view text) {
  bool quoted = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (quoted && text[at] == '\\') {
      ++at;
    } else if (text[at] == '"') {
      quoted = !quoted;
    } else if (!quoted && text[at] == ']') {
      return text.substr(0, at + 1);
    }
  }
  return text;
}

/// Go's JSON takes bytes that are no UTF-8, as U+FFFD; controls count as blanks here.
std::string as_go_decodes(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    const Character character = first_character(text);
    const bool is_control = character.valid && (character.code < 0x20 || character.code == 0x7F);
    decoded += is_control ? " " : character.valid ? character.bytes : "\uFFFD";
    text.remove_prefix(character.bytes.size());
  }
  return decoded;
}

/// The sources of an ADD, without its flags and its target: as a list in JSON and as words, for
/// which of them it is depends on the engine.
std::vector<std::string> added(std::string_view arguments, char escape) {
  take_flags(arguments, escape);
  arguments = trimmed(arguments, k_any_blank);
  std::vector<std::string> sources;
  if (arguments.starts_with('[')) {
    const auto list = parse_json(as_go_decodes(leading_list(arguments)));
    if (!list.is_array() && arguments.contains("\\u")) {
      return {"$"};  // Not read here, perhaps by the engine.
    }
    for (const auto& entry : list.is_array() ? list : nlohmann::json::array()) {
      sources.push_back(entry.is_string() ? entry.get<std::string>() : std::string());
    }
  }
  const auto without_target = [&sources](std::size_t begin) {
    if (sources.size() > begin) {
      sources.pop_back();
    }
  };
  without_target(0);
  const std::size_t words = sources.size();
  while (!trimmed(arguments, k_any_blank).empty()) {
    sources.push_back(unquoted(take_word(arguments), escape));
  }
  without_target(words);
  return sources;
}

constexpr auto k_schemes =
    std::to_array<std::string_view>({"http://", "https://", "git://", "ssh://"});

/// Whether text that goes on behind `begin` may name something remote.
bool may_become_remote(std::string_view begin) {
  return std::ranges::any_of(k_schemes,
                             [&](std::string_view scheme) { return scheme.starts_with(begin); }) ||
         std::string_view("git@").starts_with(begin) ||
         std::string_view("github.com/").starts_with(begin);
}

/// The host that `word` names; nullopt: nothing remote. Empty: it is not said in full.
std::optional<std::string> host_of(std::string_view word) {
  const std::size_t dollar = word.find('$');
  const std::string text = lower_case(word);
  for (const std::string_view scheme : k_schemes) {
    if (text.starts_with(scheme)) {
      const std::size_t end = std::min(text.find_first_of("/?#", scheme.size()), text.size());
      if (dollar < end || (dollar != std::string_view::npos && end == text.size())) {
        return "";
      }
      std::string host = text.substr(scheme.size(), end - scheme.size());
      if (const std::size_t at = host.rfind('@'); at != std::string::npos) {
        host.erase(0, at + 1);
      }
      return std::string(without_port(host));
    }
  }
  // user@host:path
  const std::size_t colon = text.find(':');
  const std::size_t at = text.find('@');
  if (at != std::string::npos && colon != std::string::npos && at < colon &&
      text.find('/') > colon) {
    return dollar < colon ? "" : text.substr(at + 1, colon - at - 1);
  }
  if (dollar != std::string_view::npos && may_become_remote(text.substr(0, dollar))) {
    return "";
  }
  return std::nullopt;
}

/// What ARG and ENV of the file say, to read an ADD of a file whose name is a variable.
using PossibleValues = std::multimap<std::string, std::string>;

void define(PossibleValues& variables, std::string_view arguments, char escape) {
  std::string previous;
  while (!trimmed(arguments, k_any_blank).empty()) {
    const std::string word = unquoted(take_word(arguments), escape);
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos) {
      variables.emplace(word.substr(0, equals), word.substr(equals + 1));
    } else if (!previous.empty()) {
      variables.emplace(previous, word);  // ENV name value
    }
    previous = equals == std::string::npos && previous.empty() ? word : std::string();
  }
}

/// What a FROM may name: the values that each ARG in front of the first FROM is given.
class BaseVariables {
 public:
  using Texts = std::set<std::string>;

  void define(std::string_view arguments, char escape) {
    while (!trimmed(arguments, k_any_blank).empty()) {
      const std::string word = unquoted(take_word(arguments), escape);
      const std::size_t equals = std::min(word.find('='), word.size());
      define(word.substr(0, equals),
             std::string_view(word).substr(std::min(equals + 1, word.size())));
    }
  }

  /// A value that comes from outside, as it is.
  void give(const std::string& name, const std::string& value) {
    values_[name] = value.size() > k_longest ? std::nullopt : std::optional(Texts{value, ""});
  }

  /// Every text that `word` may become; nullopt: it cannot be told here.
  [[nodiscard]] std::optional<Texts> expand(std::string_view word) const {
    std::optional<Texts> texts = Texts{""};
    while (texts && !word.empty()) {
      const std::size_t dollar = std::min(word.find('$'), word.size());
      texts = joined(*texts, {std::string(word.substr(0, dollar))});
      word.remove_prefix(dollar);
      if (texts && !word.empty()) {
        const auto values = take_variable(word);
        texts = values ? joined(*texts, *values) : std::nullopt;
      }
    }
    return texts;
  }

 private:
  static constexpr std::size_t k_most = 8;
  static constexpr std::size_t k_longest = 300;  // No reference is.

  void define(const std::string& name, std::string_view value) {
    if (room_ == 0) {
      return;
    }
    const auto texts = expand(value);
    auto& known = values_.emplace(name, texts).first->second;
    if (!known || !texts) {
      known.reset();
    } else {
      known->insert(texts->begin(), texts->end());
    }
    if (known && known->size() > k_most) {
      known.reset();
    }
    room_ -= std::min(room_, name.size() + (texts ? texts->size() * k_longest : 0));
  }

  static std::optional<Texts> joined(const Texts& heads, const Texts& tails) {
    Texts texts;
    for (const std::string& head : heads) {
      for (const std::string& tail : tails) {
        if (head.size() + tail.size() > k_longest || texts.size() == k_most) {
          return std::nullopt;
        }
        texts.insert(head + tail);
      }
    }
    return texts;
  }

  /// Takes `$NAME`, `${NAME}` or `${NAME:-…}` off `word`.
  std::optional<Texts> take_variable(std::string_view& word) const {
    word.remove_prefix(1);
    const bool braces = word.starts_with('{');
    word.remove_prefix(braces ? 1 : 0);
    const auto end = std::ranges::find_if_not(word, is_of_variable);
    const std::string name(word.begin(), end);
    word.remove_prefix(name.size());
    const auto found = values_.find(name);
    if (room_ == 0 || (found != values_.end() && !found->second)) {
      return std::nullopt;
    }
    Texts texts = found == values_.end() ? Texts{""} : *found->second;
    if (!braces) {
      return name.empty() ? std::nullopt : std::optional(texts);
    }
    const std::size_t close = word.find('}');
    if (name.empty() || close == std::string_view::npos) {
      return std::nullopt;
    }
    std::string_view otherwise = word.substr(0, close);
    word.remove_prefix(close + 1);
    if (otherwise.empty()) {
      return texts;
    }
    otherwise.remove_prefix(otherwise.starts_with(':') ? 1 : 0);
    if (!otherwise.starts_with('-') && !otherwise.starts_with('+') && !otherwise.starts_with('?')) {
      return std::nullopt;
    }
    const auto others = expand(otherwise.substr(1));
    if (!others) {
      return std::nullopt;
    }
    texts.insert(others->begin(), others->end());
    return texts;
  }

  std::map<std::string, std::optional<Texts>> values_;
  std::size_t room_ = 256 * 1024;  ///< Used up: no variable can be told any more.
};

/// `$NAME…` or `${NAME}…` whose every value in this file is the beginning of a local path.
bool begins_with_local_variable(std::string_view word, const PossibleValues& variables) {
  word.remove_prefix(1);
  const bool braces = word.starts_with('{');
  word.remove_prefix(braces ? 1 : 0);
  const auto end = std::ranges::find_if_not(word, is_of_variable);
  const std::string name(word.begin(), end);
  if (braces && (end == word.end() || *end != '}')) {
    return false;
  }
  const auto [first, last] = variables.equal_range(name);
  return first != last && std::all_of(first, last, [](const auto& variable) {
           const std::string value = lower_case(variable.second);
           return !value.empty() && !value.contains('$') && !may_become_remote(value) &&
                  !host_of(value);
         });
}

/// Of a base image or a stage; only registries whose host is an address or a local name count.
std::optional<std::string> registry_of(std::string_view image) {
  const auto reference = oci::parse_reference(image);
  return reference ? std::optional(lower_case(reference->host)) : std::nullopt;
}

/// Where BuildKit cuts lines and words at every blank of Unicode, its flags even at bytes of
/// letters.
std::string with_plain_blanks(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const bool is_ascii = static_cast<unsigned char>(text.front()) < 0x80;
    const std::size_t blank = is_ascii ? 0 : leading_blank(text);
    const bool is_blank = blank != 0 || text.front() == '\x85' || text.front() == '\xA0';
    out += is_blank ? ' ' : text.front();
    text.remove_prefix(std::max<std::size_t>(blank, 1));
  }
  return out;
}

class SourceReader {
 public:
  explicit SourceReader(const GivenArguments& given) : given_(given) {}

  std::vector<RemoteSource> read(std::string_view dockerfile) {
    if (dockerfile.starts_with("\xEF\xBB\xBF")) {
      dockerfile.remove_prefix(3);
    }
    const std::string plain = with_plain_blanks(dockerfile);
    for (const char escape : {'\\', '`'}) {
      for (const bool doubled_ends : {false, true}) {
        read(logical_lines(dockerfile, escape, doubled_ends), escape);
        if (plain != dockerfile) {
          read(logical_lines(plain, escape, doubled_ends), escape);
        }
      }
    }
    return std::move(sources_);
  }

 private:
  void read(const std::vector<LogicalLine>& lines, char escape) {
    PossibleValues variables(given_.begin(), given_.end());
    for (const LogicalLine& line : lines) {
      std::string_view rest = line.text;
      const std::string keyword = lower_case(take_word(rest));
      if (keyword == "arg" || keyword == "env") {
        define(variables, rest, escape);
      }
    }
    BaseVariables of_bases;
    for (const auto& [name, value] : given_) {
      of_bases.give(name, value);
    }
    bool begun = false;
    for (const LogicalLine& line : lines) {
      std::string_view rest = line.text;
      const std::string keyword = lower_case(take_word(rest));
      begun = begun || keyword == "from";
      if (!begun && keyword == "arg") {
        of_bases.define(rest, escape);
      }
      read_line(line, escape, variables, of_bases);
    }
  }

  void read_line(const LogicalLine& line, char escape, const PossibleValues& variables,
                 const BaseVariables& of_bases) {
    std::string_view rest = line.text;
    std::string keyword = lower_case(take_word(rest));
    if (keyword == "onbuild") {
      keyword = lower_case(take_word(rest));
    }
    if (keyword == "add") {
      for (const std::string& word : added(rest, escape)) {
        if (const auto host = host_of(word);
            host && !(word.starts_with('$') && begins_with_local_variable(word, variables))) {
          add({.line = line.number, .host = *host, .is_image = false});
        }
      }
    } else if (keyword == "from") {
      take_flags(rest, escape);
      add_base(line.number, unquoted(take_word(rest), escape), of_bases);
    } else if (keyword == "copy" || keyword == "run") {
      for (const std::string& flag : take_flags(rest, escape)) {
        add_images(line.number, unquoted(flag, escape));
      }
    }
  }

  void add_base(std::size_t line, std::string_view word, const BaseVariables& variables) {
    const auto images = variables.expand(word);
    if (!images) {
      add({.line = line, .host = {}, .is_image = true});
      return;
    }
    for (const std::string& image : *images) {
      add_image(line, image);
    }
  }

  /// Of every `from=` in a flag: a mount has other options that may hold the word.
  void add_images(std::size_t line, std::string_view flag) {
    constexpr std::string_view k_from = "from=";
    const std::string text = lower_case(flag);
    for (std::size_t at = text.find(k_from); at != std::string::npos;
         at = text.find(k_from, at + 1)) {
      const std::string_view image = flag.substr(at + k_from.size());
      add_image(line, image.substr(0, image.find(',')));
    }
  }

  void add_image(std::size_t line, std::string_view image) {
    if (auto host = registry_of(image)) {
      add({.line = line, .host = *std::move(host), .is_image = true});
    }
  }

  void add(RemoteSource source) {
    if (seen_.emplace(source.line, source.host, source.is_image).second) {
      sources_.push_back(std::move(source));
    }
  }

  const GivenArguments& given_;
  std::set<std::tuple<std::size_t, std::string, bool>> seen_;
  std::vector<RemoteSource> sources_;
};

// --- Judging hosts. ---

bool ends_with_label(std::string_view host, std::string_view suffix) {
  return host == suffix || (host.ends_with(suffix) && host.size() > suffix.size() &&
                            host[host.size() - suffix.size() - 1] == '.');
}

/// By the name alone.
network::AddressClass class_of_name(std::string_view host) {
  using enum network::AddressClass;
  if (host.ends_with('.')) {
    host.remove_suffix(1);
  }
  const auto any_of = [host](std::initializer_list<std::string_view> suffixes) {
    return std::ranges::any_of(
        suffixes, [host](std::string_view suffix) { return ends_with_label(host, suffix); });
  };
  // A name in other letters is mapped to who knows what before it is looked up.
  const bool plain = std::ranges::all_of(
      host, [](char c) { return c > ' ' && c < '\x7F' && c != '%' && c != '\\'; });
  if (!plain || host.empty() || host == "metadata" || host == "instance-data" ||
      host == "instance-data.ec2.internal" ||
      any_of({"metadata.google.internal", "metadata.goog"})) {
    return forbidden;
  }
  if (any_of({"localhost", "localhost6", "localdomain", "localdomain6"}) ||
      host == "ip6-localhost" || host == "ip6-loopback") {
    return loopback;
  }
  if (any_of({"local", "internal", "intranet", "private", "corp", "lan", "home", "svc",
              "home.arpa"})) {
    return private_address;
  }
  return public_address;
}

}  // namespace

moby::buildkit::v1::Policy source_policy(const SourceRules& rules,
                                         const std::optional<ports::Repository>& repository) {
  moby::buildkit::v1::Policy message;
  message.set_version(1);
  PolicyWriter policy(message);
  const std::string url = "(https?|git|ssh)://([^/?#]*@)?";
  const std::string image = "docker-image(\\+blob)?://";
  if (rules.policy != NetworkPolicy::any) {
    // A host in other letters, or with escapes, is another one to whoever connects.
    policy.deny("(https?|git|ssh)://([^/?#]*@)?[^/?#@]*[^!-$&-\\[\\]-~][^/?#@]*([/?#]|$)");
  }
  add_address_rules(policy, rules.policy, url);
  add_address_rules(policy, rules.policy, image);
  policy.deny("oci-layout");
  std::vector<std::string> registries = rules.registries;
  if (repository) {
    registries.push_back(repository->host());
  }
  for (const std::string& host : registries) {
    policy.allow(image + literal(host) + "/");
  }
  if (repository) {
    const std::string host = repository->host();
    const std::string folder =
        repository->uri.substr(host.size(), repository->uri.rfind('/') + 1 - host.size());
    policy.deny("[a-z+-]+://([^/?#]*@)?" + literal(without_port(host)) + "(:[0-9]*)?" +
                literal(folder));
    policy.allow(image + literal(repository->uri) + "[:@]");
  }
  return message;
}

void add_pins(moby::buildkit::v1::Policy& policy, const ports::ImagePins& pins) {
  for (const auto& [name, digest] : pins) {
    // The engine writes the tag out before it asks.
    const bool has_tag = name.find(':', name.rfind('/') + 1) != std::string::npos;
    const std::string image = "docker-image://" + name + (has_tag ? "" : ":latest");
    PolicyRule& rule = *policy.add_rules();
    rule.set_action(PolicyRule::CONVERT);
    rule.mutable_selector()->set_identifier(image);
    rule.mutable_selector()->set_match_type(moby::buildkit::v1::PolicySelector::EXACT);
    rule.mutable_updates()->set_identifier(image + "@" + digest);
  }
}

std::vector<RemoteSource> remote_sources(std::string_view dockerfile, const GivenArguments& given) {
  return SourceReader(given).read(dockerfile);
}

std::string host_refusal(const std::string& host, bool is_image) {
  const std::string shown = truncate_characters(printable_columns(host), 60);
  return is_image ? fmt::format(
                        "images of the registry {} cannot be used here (network policy); "
                        "use one with a public address",
                        shown)
                  : fmt::format(
                        "{} cannot be fetched from here (network policy); use a public "
                        "address, or put the file into the repository",
                        shown);
}

Result<> check_sources(const SourceRules& rules, std::string_view file, std::string_view dockerfile,
                       const GivenArguments& given, bool keeps_policies,
                       network::Resolver& resolver, const ports::JobContext& job) {
  const ports::JobContext limited = job.within(k_lookup_limit);
  const auto refused = [&](const RemoteSource& source, const std::string& why) {
    return std::unexpected(Error{
        .kind = ErrorKind::build_failed,
        .message = fmt::format("{}:{}: '{}' is not allowed by BUILD_NETWORK_POLICY", file,
                               source.line, printable_columns(source.host)),
        .customer =
            truncate_characters(fmt::format("{}:{}: {}", printable_columns(file), source.line, why),
                                k_customer_limit)});
  };
  for (const RemoteSource& source : remote_sources(dockerfile, given)) {
    if (source.host.empty()) {
      if (!keeps_policies && rules.policy != NetworkPolicy::any) {
        return refused(source,
                       source.is_image
                           ? "this build engine needs the name of a base image written out, "
                             "with plain variables at most"
                           : "this build engine needs the address of an ADD written out, "
                             "without variables; use COPY for files");
      }
      continue;
    }
    if (source.is_image && std::ranges::any_of(rules.registries, [&](const std::string& registry) {
          return lower_case(registry) == source.host;
        })) {
      continue;
    }
    std::string host(source.is_image ? without_port(source.host) : source.host);
    const std::string refusal = host_refusal(host, source.is_image);
    bool allowed = network::is_allowed(class_of_name(host), rules.policy);
    if (host.starts_with('[') && host.ends_with(']')) {
      host = host.substr(1, host.find_first_of("%]") - 1);
    }
    const bool is_numeric = host.find_first_not_of("0123456789abcdefx.:") == std::string::npos;
    if (is_numeric && host.ends_with('.')) {
      host.pop_back();
    }
    if (allowed && (is_numeric || !source.is_image)) {
      const auto addresses = resolver.lookup(host, limited);
      allowed = !addresses || std::ranges::all_of(*addresses, [&](const network::Address& address) {
        return network::is_allowed(network::classify(address.get()), rules.policy);
      });
    }
    if (!allowed) {
      return refused(source, refusal);
    }
  }
  return {};
}

}  // namespace builder::adapters::buildkit
