#pragma once

#include "domain/base_image.hpp"
#include "domain/buildpacks/ignore_rules.hpp"
#include "domain/cache_namespaces.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::domain::knobs {

/// A value, and where the customer wrote it: `deployra.toml:3`, `DEPLOYRA_BUILD_TARGET`.
template <class T>
struct Chosen {
  T value{};
  std::string where = {};

  /// What is built differs by the value alone.
  friend bool operator==(const Chosen& left, const Chosen& right) {
    return left.value == right.value;
  }
};

/// How the image is made.
enum class BuilderKind { dockerfile, buildpacks };

/// By name; nullopt: the value of the service's variable of that name.
using Assignments = std::map<std::string, Chosen<std::optional<std::string>>>;

/// What a customer decides about the build of a service, in the repository or in its variables.
/// nullopt: nothing was said, and the platform's way counts. Values are checked as far as that can
/// be done without the source and the engine.
struct BuildKnobs {
  /// The folder that becomes the build's context; empty: the repository's root. Paths count from
  /// that root and are clean (`clean_relative_path`).
  std::optional<Chosen<std::string>> context;
  std::optional<Chosen<std::string>> dockerfile;
  std::optional<Chosen<std::string>> target;
  std::optional<Chosen<std::string>> platform;
  std::optional<Chosen<bool>> no_cache;
  std::optional<Chosen<bool>> force;  ///< Build, even if an image of the same things is known.
  std::optional<Chosen<CacheSharing>> cache_sharing;
  std::optional<Chosen<BuilderKind>> builder;
  std::optional<Chosen<std::string>> builder_image;
  std::optional<Chosen<std::chrono::seconds>> timeout;
  std::optional<Chosen<std::chrono::seconds>> silence_timeout;
  /// Patterns as in a .gitignore, from the repository's root: see `ChangeFilter`.
  std::optional<Chosen<std::vector<std::string>>> ignored_paths;
  std::optional<Chosen<BaseImages>> base_images;
  Assignments args;  ///< For ARG.
  Assignments env;   ///< For buildpacks.

  friend bool operator==(const BuildKnobs& left, const BuildKnobs& right) = default;
};

/// What the operator lets customers decide, and how far.
struct KnobRules {
  std::set<std::string, std::less<>> allowed;  ///< Names of knobs.
  std::chrono::seconds longest_timeout{0};     ///< For the whole deployment.
  std::chrono::seconds longest_silence{0};     ///< Zero: any.
  CacheSharing widest_sharing = CacheSharing::service;
};

/// Name and value of each that is set, with where it was written, for a person. Sorted by name.
struct ShownKnob {
  std::string name;
  std::string value;  ///< A whole line; of arguments and variables only the names.
  std::string where;
};

std::vector<ShownKnob> shown(const BuildKnobs& knobs);

/// `over` before `under`, for each knob; of arguments and variables for each name.
BuildKnobs merged(BuildKnobs over, BuildKnobs under);

/// Which changes of a repository make a new build worth while. One thread at a time.
class ChangeFilter {
 public:
  /// The last pattern that matches a path or a folder above it decides; `!` takes back. `steps` is
  /// what all questions together may cost.
  explicit ChangeFilter(const std::vector<std::string>& ignored_paths,
                        std::uint64_t steps = MatchingBudget::k_steps);

  /// Whether a change of the file at `path` concerns the build: true for all that no pattern
  /// ignores, and once the patterns have cost too much to tell.
  [[nodiscard]] bool concerns(std::string_view path);

 private:
  buildpacks::IgnoreRules ignored_;
  MatchingBudget budget_;
};

}  // namespace builder::domain::knobs
