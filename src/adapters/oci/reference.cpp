#include "adapters/oci/reference.hpp"

#include "base/text.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <utility>

namespace builder::adapters::oci {
namespace {

bool is_path(std::string_view text) {
  constexpr std::string_view k_separators = "._-/";
  if (text.empty() || text.size() > 255 || k_separators.contains(text.front()) ||
      k_separators.contains(text.back()) || text.contains("//") || text.contains("..")) {
    return false;
  }
  return std::ranges::all_of(text, [&](unsigned char c) {
    return std::islower(c) != 0 || std::isdigit(c) != 0 ||
           k_separators.contains(static_cast<char>(c));
  });
}

bool is_tag(std::string_view text) {
  return !text.empty() && text.size() <= 128 && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(text, [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
         });
}

bool is_host(std::string_view text) {
  return !text.empty() && text.front() != '.' && text.front() != '-' &&
         std::ranges::all_of(text, [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '-' || c == ':' || c == '[' || c == ']';
         });
}

std::string_view without_port(std::string_view host) {
  const auto colon = host.rfind(':');
  const auto bracket = host.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  return has_port ? host.substr(0, colon) : host;
}

}  // namespace

std::string Reference::str() const {
  return host + "/" + repository + (tag.empty() ? "" : ":" + tag) +
         (digest.empty() ? "" : "@" + digest);
}

Result<Reference> parse_reference(std::string_view text) {
  const auto bad = [text] {
    return failure(ErrorKind::invalid_input,
                   "'" + std::string(text.substr(0, 300)) + "' is no image reference");
  };
  Reference reference;
  std::string_view rest = text;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    reference.digest = rest.substr(at + 1);
    rest = rest.substr(0, at);
    if (!is_digest(reference.digest)) {
      return bad();
    }
  }
  if (const auto colon = rest.rfind(':');
      colon != std::string_view::npos && rest.find('/', colon) == std::string_view::npos) {
    reference.tag = rest.substr(colon + 1);
    rest = rest.substr(0, colon);
    if (!is_tag(reference.tag)) {
      return bad();
    }
  }
  if (reference.tag.empty() && reference.digest.empty()) {
    reference.tag = "latest";
  }
  const auto slash = rest.find('/');
  const std::string_view first = rest.substr(0, slash);
  if (slash != std::string_view::npos &&
      (first.find_first_of(".:[") != std::string_view::npos || first == "localhost")) {
    reference.host = first;
    rest = rest.substr(slash + 1);
  } else {
    reference.host = k_docker_hub;
  }
  if (reference.host == "docker.io" || reference.host == "index.docker.io") {
    reference.host = k_docker_hub;
  }
  reference.repository = rest;
  if (reference.host == k_docker_hub && !rest.contains('/')) {
    reference.repository = "library/" + reference.repository;
  }
  if (!is_host(reference.host) || !is_path(reference.repository)) {
    return bad();
  }
  return reference;
}

std::string for_engine(const Reference& reference) {
  const std::string text = reference.str();
  return reference.host == k_docker_hub ? "docker.io" + text.substr(k_docker_hub.size()) : text;
}

Reference reference_of(const ports::Repository& repository, std::string tag) {
  auto parsed = parse_reference(repository.uri);
  return {.host = parsed ? parsed->host : repository.host(),
          .repository = parsed ? parsed->repository : repository.path(),
          .tag = std::move(tag),
          .digest = {}};
}

bool is_plain_http(std::string_view host) {
  const std::string name(without_port(host));
  if (name == "localhost" || name == "[::1]") {
    return true;
  }
  in_addr address{};
  return ::inet_pton(AF_INET, name.c_str(), &address) == 1 &&
         (ntohl(address.s_addr) >> 24U) == 127U;
}

}  // namespace builder::adapters::oci
