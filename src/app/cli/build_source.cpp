#include "app/cli/build_source.hpp"

#include "adapters/http/message.hpp"
#include "base/text.hpp"
#include "domain/relative_path.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

namespace builder::app::cli {

namespace {

constexpr std::size_t k_sha1 = 40;
constexpr std::size_t k_sha256 = 64;

bool is_web(std::string_view source) {
  return source.starts_with("https://") || source.starts_with("http://");
}

}  // namespace

bool is_git_address(std::string_view source) {
  return source.contains("://") || source.starts_with("git@");
}

std::string address_meant(std::string_view source) {
  std::string_view rest = source;
  if (const auto scheme = rest.find("://"); scheme != std::string_view::npos) {
    rest.remove_prefix(scheme + 3);
  }
  // A login of ssh's is none of https, and may be a secret.
  rest.remove_prefix(rest.substr(0, rest.find_first_of("/#")).rfind('@') + 1);
  const auto end = std::min(rest.find_first_of(":/"), rest.size());
  const std::string_view host = rest.substr(0, end);
  std::string_view path = rest.substr(std::min(end + 1, rest.size()));
  if (source.starts_with("ssh://") && rest.substr(end).starts_with(':')) {
    path.remove_prefix(std::min(path.find('/') + 1, path.size()));  // Behind the port of ssh.
  }
  const bool is_host = host.contains('.') && !host.starts_with('.') && !host.ends_with('.') &&
                       std::ranges::all_of(host, [](unsigned char c) {
                         return std::isalnum(c) != 0 || c == '.' || c == '-';
                       });
  if (!is_host || path.empty() || path.starts_with('/') || path.contains('@')) {
    return {};
  }
  return fmt::format("https://{}/{}", host, path);
}

Result<GitAddress> parse_git_address(std::string_view source) {
  const auto wrong = [&](std::string_view what) {
    return failure(ErrorKind::invalid_input,
                   fmt::format("{}: {}", adapters::http::without_secrets(source), what));
  };
  if (!is_web(source)) {
    const std::string meant = address_meant(source);
    return wrong(fmt::format("repositories are fetched over https and http only{}",
                             meant.empty() ? "" : "; try " + meant));
  }
  GitAddress address;
  const auto hash = std::min(source.find('#'), source.size());
  std::string_view ref = source.substr(std::min(hash + 1, source.size()));
  std::string_view rest = source.substr(0, hash);
  const auto scheme = rest.find("://") + 3;
  const auto slash = rest.find('/', scheme);
  // With a '#' in a password, the '@' behind the password is taken for one of the branch. A branch
  // may have an '@' as well, but then a host and a path stand in front of it, without a ':'.
  const bool is_torn = ref.contains('@') && !rest.contains('@') &&
                       (slash == std::string_view::npos || rest.find(':', scheme) < rest.size());
  if (is_torn || (slash != std::string_view::npos && rest.substr(slash).contains('@'))) {
    // Not even a part of what may be a password is repeated.
    return failure(ErrorKind::invalid_input,
                   "the address of the repository: '/', '@' and '#' in a user or password have to "
                   "be written %2F, %40 and %23");
  }
  if (slash == std::string_view::npos) {
    return wrong("the repository's path is missing");
  }
  std::string_view authority = rest.substr(scheme, slash - scheme);
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    const std::string_view login = authority.substr(0, at);
    const auto colon = std::min(login.find(':'), login.size());
    address.provider.username = adapters::http::percent_decode(login.substr(0, colon));
    address.provider.password =
        Secret(adapters::http::percent_decode(login.substr(std::min(colon + 1, login.size()))));
    if (address.provider.password.empty()) {
      // A token alone, as GitHub takes it.
      address.provider.password = Secret(std::exchange(address.provider.username, {}));
    }
    authority.remove_prefix(at + 1);
  }
  std::string_view path = rest.substr(slash + 1);
  while (path.ends_with('/')) {
    path.remove_suffix(1);
  }
  if (path.ends_with(".git")) {
    path.remove_suffix(4);
  }
  if (path.empty() || authority.empty()) {
    return wrong("the repository's path is missing");
  }
  if (const auto colon = ref.find(':'); colon != std::string_view::npos) {
    std::string_view folder = ref.substr(colon + 1);
    folder.remove_prefix(std::min(folder.find_first_not_of('/'), folder.size()));
    ref = ref.substr(0, colon);
    address.folder = domain::clean_relative_path(folder).value_or("");
    const bool is_root = folder.find_first_not_of("./") == std::string_view::npos;
    if (address.folder.empty() && (!is_root || folder.contains(".."))) {
      return wrong("what stands behind '#REF:' is no folder of the repository");
    }
  }
  address.provider.type = domain::GitProviderType::custom;
  address.provider.url = fmt::format("{}{}", rest.substr(0, scheme), authority);
  address.repository = path;
  const bool is_commit = (ref.size() == k_sha1 || ref.size() == k_sha256) && is_hex(ref);
  (is_commit ? address.commit : address.branch) = ref;
  return address;
}

}  // namespace builder::app::cli
