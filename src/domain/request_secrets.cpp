#include "domain/request_secrets.hpp"

#include "base/ascii.hpp"
#include "base/guessing.hpp"
#include "base/text_forms.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>
#include <string_view>

namespace builder::domain {

namespace {

constexpr std::array<std::string_view, 13> k_secret_words{
    "SECRET",     "TOKEN",   "PASSWORD", "PASSWD", "PASS", "PWD",      "KEY",
    "CREDENTIAL", "PRIVATE", "AUTH",     "DSN",    "SALT", "SIGNATURE"};

/// Words such as PUBLIC_KEY name values that are meant to be seen. GOPRIVATE lists paths of
/// modules, which are in every binary that is made of them.
bool is_public_name(std::string_view key) {
  return key == "GOPRIVATE" || key.starts_with("PUBLIC_") || key.starts_with("NEXT_PUBLIC_") ||
         key.starts_with("VITE_PUBLIC_") || key.contains("PUBLIC_KEY");
}

constexpr std::size_t k_shortest_value = 8;
/// Less is a name.
constexpr double k_value_bits = 36;
/// A part of a path or an address, which are printed all the time.
constexpr std::size_t k_shortest_part = 12;
constexpr double k_part_bits = 44;
/// Of a character, where it is as random as a key's.
constexpr double k_dense = 3;

/// The password of `scheme://user:password@host…`, where it may hold a slash; empty when there is
/// none.
std::string_view url_password(std::string_view value) {
  const std::size_t scheme = value.find("://");
  if (scheme == std::string_view::npos) {
    return {};
  }
  const std::string_view rest = value.substr(scheme + 3);
  std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  const std::size_t colon = authority.find(':');
  if (!authority.contains('@') && colon != std::string_view::npos && !authority.starts_with('[') &&
      !std::ranges::all_of(authority.substr(colon + 1),
                           [](unsigned char c) { return std::isdigit(c) != 0; })) {
    authority = rest;  // What stands behind the colon is no port.
  }
  const std::size_t at = authority.rfind('@');
  if (at == std::string_view::npos || colon == std::string_view::npos || colon > at) {
    return {};
  }
  return authority.substr(colon + 1, at - colon - 1);
}

/// `https://example.com/path`, which holds a secret only where a part of it looks like one.
bool is_web_address(std::string_view value) {
  return (value.starts_with("https://") || value.starts_with("http://")) && !value.contains('@') &&
         !value.contains(' ');
}

/// What is printed for its own sake: paths, hosts, addresses, images; numbers, versions, dates.
bool is_locator(std::string_view value) {
  return value.find_first_of("/.:@\\") != std::string_view::npos &&
         value.find_first_of(" \t\n{}\"'=;") == std::string_view::npos;
}

bool is_number(std::string_view value) {
  return value.find_first_not_of("0123456789.,:-+/TZ% ") == std::string_view::npos;
}

class Variable {
 public:
  Variable(const EnvironmentVariable& variable, bool is_secret, std::vector<NamedSecret>& sure,
           std::vector<NamedSecret>& others)
      : name_(std::string(k_of_variable) + variable.key),
        value_(variable.value),
        sure_(sure),
        others_(others) {
    if (is_secret && !is_web_address(value_)) {
      add(sure_, value_);
    } else if (is_public_name(variable.key)) {
      return;
    } else if (is_hard_to_guess()) {
      add(others_, value_);
    }
    if (const std::string_view password = url_password(value_); !password.empty()) {
      add(sure_, password);
      // As a client uses it.
      if (password.contains('%')) {
        add(sure_, meaning_of(password));
      }
    }
    look_into();
  }

 private:
  void add(std::vector<NamedSecret>& secrets, std::string_view value) {
    secrets.push_back({name_, Secret(std::string(value))});
  }

  [[nodiscard]] bool is_hard_to_guess() const {
    if (value_.size() < k_shortest_value || is_number(value_)) {
      return false;
    }
    const double bits = guessing_bits(value_);
    return bits >= k_value_bits &&
           (!is_locator(value_) || bits / static_cast<double>(value_.size()) >= k_dense);
  }

  /// Parts of the value that are secrets whatever the rest is.
  void look_into() {
    constexpr std::string_view k_ends = ";&,? \t\r\n{}\"'<>()#/@:=";
    std::string_view rest = value_;
    std::string_view name;  // Of `Password=`, `"token": `.
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find_first_of(k_ends), rest.size());
      const std::string_view part = rest.substr(0, end);
      const char ended_by = end < rest.size() ? rest[end] : ';';
      if (!name.empty() && !part.empty()) {
        // Up to where such lists are divided: the value may hold other marks.
        const std::string_view whole = rest.substr(0, rest.find_first_of(";&,\"' \r\n"));
        if (whole.size() >= Redactor::k_shortest_secret) {
          add(sure_, whole);
        }
      }
      if (part.size() >= k_shortest_part && part.size() < value_.size() && !is_number(part) &&
          guessing_bits(part) >= k_part_bits &&
          guessing_bits(part) / static_cast<double>(part.size()) >= k_dense) {
        add(others_, part);
      }
      if (!part.empty()) {
        const bool names = ended_by == '=' || ended_by == ':' || ended_by == '"';
        name = names && !rest.substr(end).starts_with("://") && is_secret_name(part)
                   ? part
                   : std::string_view();
      } else if (ended_by != '=' && ended_by != ':' && ended_by != '"' && ended_by != '\'' &&
                 ended_by != ' ') {
        name = {};
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }

  const std::string name_;
  const std::string_view value_;
  std::vector<NamedSecret>& sure_;
  std::vector<NamedSecret>& others_;
};

/// What a request holds, by how sure it is.
struct Sorted {
  std::vector<NamedSecret> sure;
  std::vector<NamedSecret> others;
};

Sorted sorted_secrets(const DeploymentRequest& request,
                      const std::function<bool(std::string_view)>& names) {
  Sorted secrets;
  if (request.git_provider) {
    const GitProvider& git = *request.git_provider;
    secrets.sure.push_back({"git password", git.password});
    if (!git.password.empty()) {
      const std::string user = git.username.empty() ? "x-access-token" : git.username;
      secrets.sure.push_back({"git credentials", Secret(user + ":" + git.password.reveal())});
    }
  }
  for (const EnvironmentVariable& variable : request.environment) {
    Variable(variable, names(variable.key), secrets.sure, secrets.others);
  }
  return secrets;
}

}  // namespace

bool is_secret_name(std::string_view name) {
  const std::string key = upper_case(name);
  if (is_public_name(key)) {
    return false;
  }
  return std::ranges::any_of(k_secret_words,
                             [&](std::string_view word) { return key.contains(word); });
}

std::vector<NamedSecret> secrets_of(const DeploymentRequest& request) {
  auto [secrets, others] = sorted_secrets(request, is_secret_name);
  secrets.insert(secrets.end(), others.begin(), others.end());
  return secrets;
}

std::vector<NamedSecret> sure_secrets_of(const DeploymentRequest& request,
                                         const std::function<bool(std::string_view)>& names) {
  return sorted_secrets(request, names).sure;
}

}  // namespace builder::domain
