#pragma once

#include "base/result.hpp"
#include "ports/registry.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::oci {

/// Where the API of Docker Hub is.
inline constexpr std::string_view k_docker_hub = "registry-1.docker.io";

/// An image at a registry, with the names its API uses.
struct Reference {
  std::string host;        ///< `name[:port]`; Docker Hub's API is `k_docker_hub`.
  std::string repository;  ///< `library/busybox`.
  std::string tag;         ///< Empty when only a digest was given.
  std::string digest;      ///< `sha256:…`; empty: the tag decides.

  /// What goes behind `manifests/`: the digest where there is one.
  [[nodiscard]] const std::string& selector() const { return digest.empty() ? tag : digest; }

  [[nodiscard]] Reference with_digest(std::string other) const {
    return {.host = host, .repository = repository, .tag = {}, .digest = std::move(other)};
  }

  [[nodiscard]] std::string str() const;
};

/// `[host[:port]/]path[:tag][@digest]` as Docker reads it: without a host it is Docker Hub, without
/// tag and digest it is `latest`. `invalid_input` for anything else.
Result<Reference> parse_reference(std::string_view text);

/// A reference as an engine writes it: Docker Hub by its common name.
std::string for_engine(const Reference& reference);

/// The image as its registry's API names it. A person may have typed `me/app` or `docker.io/me/app`
/// for what is at `registry-1.docker.io`, and engines are told it as it was typed.
Reference reference_of(const ports::Repository& repository, std::string tag);

/// Registries that are spoken to without TLS: those on this machine's loopback, as the Docker
/// Engine and buildkitd do by default. The one rule for everything that meets a registry.
bool is_plain_http(std::string_view host);

}  // namespace builder::adapters::oci
