#pragma once

#include "base/secret.hpp"
#include "domain/variable_delivery.hpp"

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
  explicit SecretMounts(const domain::DeliveredVariables& variables);

  /// The Dockerfile for the engine. Only mounts in plain letters are changed: none with a variable,
  /// a quote or an escape in it, and none of a file with heredocs, whose text might look like one.
  [[nodiscard]] std::string with_versions(std::string_view dockerfile) const;
  /// Whether a mount in `sent` may ask for a secret under a name without a version. In doubt it
  /// does.
  [[nodiscard]] bool leaves_some(std::string_view sent) const;

  /// `id` is a name of ours without its version.
  [[nodiscard]] bool is_plain(const std::string& id) const { return versions_.contains(id); }

  /// A text for all of them together: it changes with each value.
  [[nodiscard]] std::string fingerprint() const;
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
