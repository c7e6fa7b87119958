#include "domain/request_secrets.hpp"

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

/// Words such as PUBLIC_KEY name values that are meant to be seen.
bool is_secret_name(std::string key) {
  std::ranges::transform(key, key.begin(),
                         [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  if (key.starts_with("PUBLIC_") || key.starts_with("NEXT_PUBLIC_") ||
      key.starts_with("VITE_PUBLIC_") || key.contains("PUBLIC_KEY")) {
    return false;
  }
  return std::ranges::any_of(k_secret_words,
                             [&](std::string_view word) { return key.contains(word); });
}

/// The password of `scheme://user:password@host…`; empty when there is none.
std::string_view url_password(std::string_view value) {
  const std::size_t scheme = value.find("://");
  if (scheme == std::string_view::npos) {
    return {};
  }
  std::string_view authority = value.substr(scheme + 3);
  authority = authority.substr(0, authority.find('/'));
  const std::size_t at = authority.rfind('@');
  const std::size_t colon = authority.find(':');
  if (at == std::string_view::npos || colon == std::string_view::npos || colon > at) {
    return {};
  }
  return authority.substr(colon + 1, at - colon - 1);
}

}  // namespace

std::vector<NamedSecret> secrets_of(const DeploymentRequest& request) {
  std::vector<NamedSecret> secrets;
  if (request.git_provider) {
    const GitProvider& git = *request.git_provider;
    secrets.push_back({"git password", git.password});
    if (!git.password.empty()) {
      const std::string user = git.username.empty() ? "x-access-token" : git.username;
      secrets.push_back({"git credentials", Secret(user + ":" + git.password.reveal())});
    }
  }
  for (const EnvironmentVariable& variable : request.environment) {
    if (is_secret_name(variable.key)) {
      secrets.push_back({"variable " + variable.key, Secret(variable.value)});
    } else if (const std::string_view password = url_password(variable.value); !password.empty()) {
      secrets.push_back({"password in variable " + variable.key, Secret(std::string(password))});
    }
  }
  return secrets;
}

}  // namespace builder::domain
