#include "adapters/oci/challenge.hpp"

#include "adapters/http/message.hpp"
#include "adapters/oci/reference.hpp"
#include "base/ascii.hpp"

#include <algorithm>
#include <map>

namespace builder::adapters::oci {
namespace {

using http::equal_ignoring_case;

/// Reads `Scheme name="value", name=value, Scheme …` from left to right.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  std::string_view word() {
    skip(" \t,");
    const auto end = std::min(rest_.find_first_of(" \t,=\""), rest_.size());
    const std::string_view found = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return found;
  }

  /// True when the word just read is a parameter's name; its value is read too.
  bool value(std::string& out) {
    skip(" \t");
    if (!rest_.starts_with('=')) {
      return false;
    }
    rest_.remove_prefix(1);
    skip(" \t");
    out.clear();
    if (!rest_.starts_with('"')) {
      out = word();
      return true;
    }
    rest_.remove_prefix(1);
    while (!rest_.empty() && rest_.front() != '"') {
      if (rest_.front() == '\\' && rest_.size() > 1) {
        rest_.remove_prefix(1);
      }
      out += rest_.front();
      rest_.remove_prefix(1);
    }
    rest_.remove_prefix(std::min<std::size_t>(1, rest_.size()));
    return true;
  }

  [[nodiscard]] bool done() const { return rest_.empty(); }

  void skip_one() { rest_.remove_prefix(std::min<std::size_t>(1, rest_.size())); }

 private:
  void skip(std::string_view characters) {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(characters), rest_.size()));
  }

  std::string_view rest_;
};

struct Url {
  std::string scheme;
  std::string authority;
};

std::optional<Url> parse_url(std::string_view text) {
  const auto mark = text.find("://");
  if (mark == std::string_view::npos) {
    return std::nullopt;
  }
  Url url{.scheme = std::string(text.substr(0, mark)), .authority = {}};
  const auto rest = text.substr(mark + 3);
  url.authority = rest.substr(0, rest.find_first_of("/?#"));
  if (url.authority.empty() || url.authority.contains('@') || url.authority.contains('\\')) {
    return std::nullopt;
  }
  url.authority = lower_case(url.authority);
  return url;
}

bool is_address(std::string_view authority) {
  return authority.starts_with('[') ||
         authority.substr(0, authority.find(':')).find_first_not_of("0123456789.") ==
             std::string_view::npos;
}

std::string_view parent_of(std::string_view name) {
  const auto dot = name.find('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
}

}  // namespace

std::optional<Challenge> parse_challenge(std::string_view header) {
  std::optional<Challenge> best;
  std::optional<Challenge> current;
  const auto keep = [&] {
    if (current && (current->scheme == Challenge::Scheme::basic || !current->realm.empty()) &&
        (!best || current->scheme == Challenge::Scheme::bearer)) {
      best = current;
    }
  };
  Reader reader(header);
  std::string value;
  while (!reader.done()) {
    const std::string_view word = reader.word();
    if (word.empty()) {
      reader.skip_one();
      continue;
    }
    if (!reader.value(value)) {
      keep();
      current.reset();
      if (equal_ignoring_case(word, "Bearer")) {
        current.emplace(Challenge{.scheme = Challenge::Scheme::bearer, .realm = {}, .service = {}});
      } else if (equal_ignoring_case(word, "Basic")) {
        current.emplace();
      }
    } else if (current && equal_ignoring_case(word, "realm")) {
      current->realm = value;
    } else if (current && equal_ignoring_case(word, "service")) {
      current->service = value;
    }
  }
  keep();
  return best;
}

bool is_usable_realm(std::string_view host, std::string_view realm) {
  const auto url = parse_url(realm);
  return url && (url->scheme == "https" ||
                 (url->scheme == "http" && is_plain_http(host) && is_plain_http(url->authority)));
}

bool may_show_login(std::string_view host, std::string_view realm) {
  const auto url = parse_url(realm);
  if (!url || !is_usable_realm(host, realm)) {
    return false;
  }
  if (url->authority == host) {
    return true;
  }
  if (is_address(host) || is_address(url->authority)) {
    return false;
  }
  const std::string_view own = host.substr(0, host.find(':'));
  const std::string_view other =
      std::string_view(url->authority).substr(0, url->authority.find(':'));
  if (own == other) {
    return true;
  }
  const std::string_view parent = parent_of(own);
  return parent.contains('.') && (other == parent || parent_of(other) == parent);
}

}  // namespace builder::adapters::oci
