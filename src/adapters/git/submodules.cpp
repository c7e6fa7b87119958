#include "adapters/git/submodules.hpp"

#include "adapters/git/address_policy.hpp"

#include <algorithm>
#include <utility>

namespace builder::adapters::git {

std::map<std::string, std::string> parse_submodule_urls(std::string_view listed) {
  std::map<std::string, std::pair<std::string, std::string>> modules;  // name -> path, url
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
    const std::string name(key.substr(0, key.rfind('.')));
    if (key.ends_with(".path")) {
      modules[name].first = value;
    } else if (key.ends_with(".url")) {
      modules[name].second = value;
    }
  }
  std::map<std::string, std::string> urls;
  for (auto& [name, module] : modules) {
    urls[module.first] = std::move(module.second);
  }
  return urls;
}

std::string resolve_submodule_url(std::string_view repository_url, std::string_view url) {
  const bool clean = std::ranges::none_of(url, [](unsigned char c) {
    return c <= 0x20 || c == 0x7F || c == '\\' || c == '?' || c == '#';
  });
  if (!clean) {
    return {};
  }
  if (!url.starts_with("./") && !url.starts_with("../")) {
    const bool up = url.contains("/../") || url.ends_with("/..");
    return !up && parse_endpoint(url) ? std::string(url) : std::string();
  }
  std::string base(repository_url);
  const std::size_t authority_end = base.find('/', base.find("://") + 3);
  while (true) {
    if (url.starts_with("../")) {
      const std::size_t slash = base.rfind('/');
      if (slash == std::string::npos || slash < authority_end) {
        return {};
      }
      base.resize(slash);
      url.remove_prefix(3);
    } else if (url.starts_with("./")) {
      url.remove_prefix(2);
    } else {
      break;
    }
  }
  const bool up = url == ".." || url.contains("/../") || url.ends_with("/..");
  return url.empty() || url.starts_with('/') || up ? std::string() : base + "/" + std::string(url);
}

}  // namespace builder::adapters::git
