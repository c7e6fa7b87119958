#pragma once

#include "base/secret.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>

namespace builder::adapters::buildkit {

/// The secrets of one build, and how their mounts get a place in the engine's cache.
///
/// BuildKit knows the result of a RUN by the ids of its secrets and not by their content: a new
/// token would change nothing. So an id goes to the engine with a version before it,
/// `id=NPM_TOKEN` as `id=v3f…9c/NPM_TOKEN`; the file in the container keeps its name, since
/// BuildKit takes what is behind the last slash
/// (frontend/dockerfile/dockerfile2llb/convert_secrets.go). The version is a hash of the value
/// that cannot be tried out without the key. Thread-safe.
class SecretMounts {
 public:
  /// `key` is the service's alone.
  SecretMounts(std::map<std::string, Secret> secrets, const Secret& key);

  /// The Dockerfile for the engine. Only ids that stand there in plain letters are changed: with a
  /// variable or a quote in it a mount stays as it is, and the value as unknown to the cache as it
  /// is to everybody else's.
  [[nodiscard]] std::string with_versions(std::string_view dockerfile) const;
  /// What the engine says of it, in the words of the Dockerfile as it was written.
  [[nodiscard]] std::string without_versions(std::string text) const;
  /// For the session: by their names, with versions and without.
  [[nodiscard]] std::map<std::string, Secret> for_session() const;

 private:
  /// A token of a RUN, which begins with two dashes.
  [[nodiscard]] std::string versioned_flag(std::string_view flag) const;

  std::map<std::string, Secret> secrets_;
  std::map<std::string, std::string, std::less<>> versions_;  ///< By name; with the slash.
  std::set<std::string> known_;                               ///< All of them.
};

}  // namespace builder::adapters::buildkit
