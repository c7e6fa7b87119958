#include "domain/source_spec.hpp"

#include "base/ascii.hpp"
#include "base/text.hpp"
#include "domain/customer_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace builder::domain {

namespace {

std::unexpected<Error> refused(std::string message, const std::string& customer) {
  return std::unexpected(Error{.kind = ErrorKind::invalid_input,
                               .message = std::move(message),
                               .customer = customer_line(printable_line(customer))});
}

/// A value of a stranger as it may be quoted in a line.
std::string quoted_value(std::string_view value) {
  std::string text;
  for (const char c : value.substr(0, 50)) {
    text += c >= 0x20 && c < 0x7F ? c : '?';
  }
  return "'" + text + (value.size() > 50 ? "…'" : "'");
}

bool is_name_character(unsigned char c) {
  return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '~' || c == '+';
}

/// `owner/repository`, more parts allowed; every part is a plain name that is no option and no way
/// up.
bool is_repository_name(std::string_view name) {
  if (name.empty() || name.size() > 255) {
    return false;
  }
  while (true) {
    const std::size_t slash = std::min(name.find('/'), name.size());
    const std::string_view part = name.substr(0, slash);
    if (part.empty() || part == "." || part == ".." || part.starts_with('-') ||
        !std::ranges::all_of(part, is_name_character)) {
      return false;
    }
    if (slash == name.size()) {
      return true;
    }
    name.remove_prefix(slash + 1);
  }
}

/// `host`, `host:port` or `[v6]:port`, as both curl and getaddrinfo read it.
bool is_authority(std::string_view authority) {
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos ||
        !std::ranges::all_of(authority.substr(1, close - 1), [](unsigned char c) {
          return std::isxdigit(c) != 0 || c == ':' || c == '.';
        })) {
      return false;
    }
    port = authority.substr(close + 1);
  } else {
    const std::size_t colon = std::min(authority.find(':'), authority.size());
    const std::string_view host = authority.substr(0, colon);
    if (host.empty() || host.starts_with('-') || host.starts_with('.') ||
        !std::ranges::all_of(host, [](unsigned char c) {
          return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
        })) {
      return false;
    }
    port = authority.substr(colon);
  }
  if (port.empty()) {
    return true;
  }
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data() + 1, port.data() + port.size(), number);
  return port.front() == ':' && error == std::errc() && end == port.data() + port.size() &&
         number >= 1 && number <= 65535;
}

/// git-check-ref-format(1), with one more rule: no leading '-'.
bool is_branch(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.starts_with('-') || name.starts_with('/') ||
      name.ends_with('/') || name.ends_with('.') || name.ends_with(".lock") || name == "@" ||
      name.contains("..") || name.contains("//") || name.contains("@{") || name.contains("/.") ||
      name.starts_with('.') || name.contains(".lock/")) {
    return false;
  }
  return std::ranges::none_of(name, [](unsigned char c) {
    return c <= 0x20 || c == 0x7F || std::string_view("~^:?*[\\").contains(static_cast<char>(c));
  });
}

Result<std::string> base_url(const DeploymentRequest& request, std::string_view github_url) {
  if (!request.git_provider || request.git_provider->type == GitProviderType::github) {
    return std::string(github_url);
  }
  std::string_view typed = request.git_provider->url;
  while (typed.ends_with('/') || typed.ends_with(' ')) {
    typed.remove_suffix(1);
  }
  typed.remove_prefix(std::min(typed.find_first_not_of(' '), typed.size()));
  if (typed.empty()) {
    return refused(
        "custom provider without URL",
        "The custom git provider has no URL; enter its https:// address in the settings");
  }
  // Scheme and host are compared by others (credentials, mirrors): one form of them only.
  std::string url(typed);
  const std::size_t scheme_end = url.find("://");
  if (scheme_end != std::string::npos) {
    const auto path = std::ranges::find(url.begin() + static_cast<std::ptrdiff_t>(scheme_end) + 3,
                                        url.end(), '/');
    std::transform(url.begin(), path, url.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  }
  const bool https = url.starts_with("https://");
  if (!https && !url.starts_with("http://")) {
    return refused(
        "git URL scheme of " + quoted_value(url),
        "The git provider's URL must begin with https://; " + quoted_value(url) + " does not");
  }
  const std::string_view rest = std::string_view(url).substr(https ? 8 : 7);
  const std::string_view authority = rest.substr(0, rest.find('/'));
  if (authority.contains('@')) {
    return refused(
        "git URL with credentials",
        "The git provider's URL holds a user or password; enter them in their own fields");
  }
  const std::string_view path = rest.substr(authority.size());
  const bool clean = std::ranges::all_of(path, [](unsigned char c) {
    return is_name_character(c) || c == '/' || c == ':' || c == '%';
  });
  if (!is_authority(authority) || !clean || path.contains("/../") || path.ends_with("/..")) {
    return refused("malformed git URL " + quoted_value(url),
                   "The git provider's URL " + quoted_value(url) + " is not a valid address");
  }
  return url;
}

}  // namespace

Result<SourceSpec> resolve_source(const DeploymentRequest& request, std::string_view github_url) {
  SourceSpec spec;
  spec.service_id = request.service_id;
  BUILDER_TRY_ASSIGN(spec.base, base_url(request, github_url));

  std::string_view repository = request.repository_name;
  if (repository.ends_with(".git")) {
    repository.remove_suffix(4);
  }
  if (!is_repository_name(repository)) {
    return refused("repository name " + quoted_value(repository),
                   "The repository name " + quoted_value(repository) +
                       " is not valid; it must look like owner/repository");
  }
  const bool is_github =
      !request.git_provider || request.git_provider->type == GitProviderType::github;
  if (is_github && std::ranges::count(repository, '/') != 1) {
    return refused("GitHub repository name " + quoted_value(repository),
                   "The repository name " + quoted_value(repository) +
                       " is not valid; on GitHub it is owner/repository");
  }
  spec.url = fmt::format("{}/{}.git", spec.base, repository);

  if (request.git_provider) {
    spec.username = request.git_provider->username;
    spec.password = request.git_provider->password;
    if (spec.username.empty() && !spec.password.empty()) {
      // GitHub takes any user name beside a token.
      spec.username = "x-access-token";
    }
    // Of HTTP's "user:password" the first colon ends the user (RFC 7617).
    if (spec.username.contains(':')) {
      return refused(
          "user name with a colon",
          "The git provider's user name must not hold a colon; correct it in the settings");
    }
  }

  spec.branch = request.branch.empty() ? "main" : request.branch;
  if (!is_branch(spec.branch)) {
    return refused("branch " + quoted_value(spec.branch), "The branch name " +
                                                              quoted_value(spec.branch) +
                                                              " is not valid; correct it in the "
                                                              "service's settings");
  }

  spec.commit = lower_case(request.commit_sha);
  const bool hex =
      std::ranges::all_of(spec.commit, [](unsigned char c) { return std::isxdigit(c) != 0; });
  if (!spec.commit.empty() && (!hex || spec.commit.size() < 7 || spec.commit.size() > 64)) {
    return refused("commit " + quoted_value(request.commit_sha),
                   "The commit " + quoted_value(request.commit_sha) +
                       " is not a commit SHA; enter 7 to 64 hexadecimal digits, or leave it empty");
  }
  if (!spec.commit.empty() && spec.commit.find_first_not_of('0') == std::string::npos) {
    return refused("commit of zeros",
                   "The pushed branch was deleted, so there is no commit to "
                   "build; deploy another branch");
  }
  return spec;
}

}  // namespace builder::domain
