#include "adapters/git/submodules.hpp"

#include "adapters/http/message.hpp"
#include "base/ascii.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace builder::adapters::git {

namespace {

constexpr std::string_view k_host_characters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

SubmoduleSource refused(std::string why) {
  return {.url = {}, .refused = std::move(why)};
}

bool leads_up(std::string_view path) {
  return path == ".." || path.starts_with("../") || path.contains("/../") || path.ends_with("/..");
}

struct Remote {
  std::string host;
  std::string path;  ///< Without a leading slash.
};

/// `ssh://[user@]host[:port]/path`, `git://host[:port]/path` and `[user@]host:path`.
std::optional<Remote> parse_remote(std::string_view url) {
  bool is_url = false;
  for (const std::string_view scheme : {"ssh://", "git://", "git+ssh://", "ssh+git://"}) {
    if (url.starts_with(scheme)) {
      url.remove_prefix(scheme.size());
      is_url = true;
      break;
    }
  }
  if (!is_url && url.contains("://")) {
    return std::nullopt;
  }
  const std::size_t end = url.find(is_url ? '/' : ':');
  if (end == std::string_view::npos || url.substr(0, end).contains('/')) {
    return std::nullopt;
  }
  std::string_view host = url.substr(0, end);
  std::string_view path = url.substr(end + 1);
  host.remove_prefix(host.rfind('@') + 1);  // npos + 1 is 0.
  if (is_url) {
    host = host.substr(0, host.find(':'));
  }
  while (path.starts_with('/')) {
    path.remove_prefix(1);
  }
  if (host.empty() || host.starts_with('-') || host.starts_with('.') ||
      host.find_first_not_of(k_host_characters) != std::string_view::npos || path.empty() ||
      path.starts_with('-') || path.starts_with(':') || leads_up(path)) {
    return std::nullopt;
  }
  return Remote{.host = lower_case(host), .path = std::string(path)};
}

std::string http_url(const Remote& remote, const Account& account) {
  if (remote.host != account.endpoint.host) {
    return "https://" + remote.host + "/" + remote.path;
  }
  // "https://host/git" as base may stand for "/git" on the same disk, which ssh is given as well.
  const std::string origin = account.endpoint.origin();
  const std::string below =
      account.base.size() > origin.size() + 1 ? account.base.substr(origin.size() + 1) + "/" : "";
  const bool complete = !below.empty() && remote.path.starts_with(below);
  return (complete ? origin : account.base) + "/" + remote.path;
}

SubmoduleSource resolve_http(std::string_view url) {
  const std::size_t authority = url.find("://") + 3;
  const std::size_t end = std::min(url.find('/', authority), url.size());
  std::string_view user = url.substr(authority, end - authority);
  const std::size_t at = user.rfind('@');
  user = user.substr(0, at == std::string_view::npos ? 0 : at);
  SubmoduleSource source;
  source.url = std::string(url.substr(0, authority));
  source.url += url.substr(at == std::string_view::npos ? authority : authority + at + 1);
  if (!parse_endpoint(source.url) || leads_up(url.substr(end))) {
    return refused("its URL is not a valid address");
  }
  const std::size_t colon = std::min(user.find(':'), user.size());
  source.username = http::percent_decode(user.substr(0, colon));
  source.password = Secret(http::percent_decode(user.substr(std::min(colon + 1, user.size()))));
  if (source.username.contains(':') || printable_line(source.username) != source.username) {
    return refused("its URL holds a user name that cannot be sent");
  }
  return source;
}

SubmoduleSource resolve_relative(std::string_view repository_url, std::string_view url) {
  std::string base(repository_url);
  const std::size_t authority_end = base.find('/', base.find("://") + 3);
  while (url.starts_with("./") || url.starts_with("../")) {
    if (url.starts_with("../")) {
      const std::size_t slash = base.rfind('/');
      if (slash == std::string::npos || slash < authority_end) {
        return refused("its URL leads out of the host");
      }
      base.resize(slash);
      url.remove_prefix(1);
    }
    url.remove_prefix(2);
  }
  if (url.empty() || url.starts_with('/') || leads_up(url)) {
    return refused("its URL names no repository");
  }
  return {.url = base + "/" + std::string(url)};
}

}  // namespace

std::map<std::string, Submodule> parse_submodules(std::string_view listed) {
  std::map<std::string, std::pair<std::string, Submodule>> modules;  // name -> path, module
  while (!listed.empty()) {
    // key LF value NUL
    const std::string_view item = listed.substr(0, listed.find('\0'));
    listed.remove_prefix(std::min(item.size() + 1, listed.size()));
    const std::size_t line_end = item.find('\n');
    const std::string_view key = item.substr(0, line_end);
    const std::string value(line_end == std::string_view::npos ? "" : item.substr(line_end + 1));
    if (!key.starts_with("submodule.")) {
      continue;
    }
    auto& [path, module] = modules[std::string(key.substr(0, key.rfind('.')))];
    if (key.ends_with(".path")) {
      path = value;
    } else if (key.ends_with(".url")) {
      module.url = value;
    } else if (key.ends_with(".update")) {
      module.skipped = value == "none";
    }
  }
  std::map<std::string, Submodule> by_path;
  for (auto& [name, entry] : modules) {
    by_path[entry.first] = std::move(entry.second);
  }
  return by_path;
}

SubmoduleSource resolve_submodule(std::string_view repository_url, std::string_view url,
                                  const Account& account) {
  const bool clean = std::ranges::none_of(url, [](unsigned char c) {
    return c <= 0x20 || c == 0x7F || c == '\\' || c == '?' || c == '#';
  });
  if (!clean) {
    return refused("its URL holds characters that are not allowed");
  }
  while (url.ends_with('/')) {
    url.remove_suffix(1);
  }
  if (url.starts_with("./") || url.starts_with("../")) {
    return resolve_relative(repository_url, url);
  }
  if (url.starts_with("https://") || url.starts_with("http://")) {
    return resolve_http(url);
  }
  if (url.starts_with('/') || url.starts_with("file:")) {
    return refused(
        "its URL is a path on a disk; write an https:// URL or one that begins with ../");
  }
  if (const auto remote = parse_remote(url)) {
    if (std::string target = http_url(*remote, account); parse_endpoint(target)) {
      return {.url = std::move(target)};
    }
  }
  return refused("its URL must be relative (../name) or begin with https://");
}

}  // namespace builder::adapters::git
