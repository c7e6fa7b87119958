#pragma once

#include "base/keyed_hash.hpp"
#include "base/result.hpp"
#include "build/image_check.hpp"
#include "build/image_papers.hpp"
#include "domain/base_image.hpp"
#include "domain/knobs/build_knobs.hpp"
#include "domain/variable_delivery.hpp"

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace builder {
class SecretStore;
}  // namespace builder

namespace builder::ports {
class Attestations;
class BuildpacksBuilder;
class ImageBuilder;
class ImageSearch;
class JobQueue;
class Registry;
class SbomSource;
class SourceFetcher;
}  // namespace builder::ports

namespace builder::build {

/// What the operator says about buildpacks.
struct BuildpacksRules {
  std::string builder;
  std::vector<std::string> allowed_builders;  ///< Customers may choose these.
  std::string node_version;                   ///< BP_NODE_VERSION; empty: the app's own choice.
  bool user_environment = false;              ///< The service's variables reach the buildpacks.
};

/// What the steps of a build are told by the operator. The settings have their defaults in the
/// configuration.
struct StepSettings {
  std::string github_url;
  /// For Dockerfiles that do not say otherwise, with commas between them; empty: linux/amd64.
  std::string platforms;
  std::chrono::seconds fetch_timeout{0};
  BuildpacksRules buildpacks;
  domain::DeliveryRules delivery;
  /// An image this old is not used again for a deployment that would make the same; 0: none is.
  std::chrono::seconds reuse_images{0};
  /// Where the customer does not say.
  domain::BaseImages base_images = domain::BaseImages::latest;
  /// A version of a base image that was pinned this long ago gives way to what the registry has; 0:
  /// it stays.
  std::chrono::seconds renew_base_images{0};
  bool image_labels = false;  ///< Images tell by labels which commit they were made from.
  /// Stands for the operator's policy: an image that was made under another one is not used again;
  /// empty: there is none.
  std::string policy;
  domain::knobs::KnobRules knobs;  ///< What customers decide, and who shares caches otherwise.
  ImageCheckRules image_check;
  PaperRules papers;
  KeyedHash::Key times_key{};  ///< Of what is remembered about a service's files.
  /// Asked when a source could not be fetched: whether that was WORK_DIR's fault.
  std::function<Result<>()> check_work_dir = [] { return Result<>(); };
};

/// Whom the steps of a build talk to. The queue remembers what was done, and the times of files.
struct StepPorts {
  ports::SourceFetcher& source;
  ports::ImageBuilder& image;
  ports::BuildpacksBuilder& buildpacks;
  ports::Registry& registry;
  ports::JobQueue& queue;
  ports::ImageSearch* search;  ///< Null: no image is searched.
  const SecretStore& secrets;
  ports::Attestations* attestations;  ///< Null: nothing is attached to an image.
  ports::SbomSource* sboms;           ///< Null: no image is described.
};

/// What the steps of a build wait for, and whom they tell how far they are.
class StepObserver {
 public:
  virtual ~StepObserver() = default;
  /// Waits until the platform has said that it wants the build; an error ends the steps. Called on
  /// more than one thread, before anything but the source is touched.
  virtual Result<> accepted() = 0;
  /// Before each phase: `fetch`, `build`, `push` (of what an engine has kept), `promote`.
  virtual void phase_begins(std::string_view phase) = 0;
  /// The customer has set a time limit for the deployment, which counts from its start.
  virtual void timeout_chosen(std::chrono::seconds timeout) = 0;
  /// The source is fetched and planned: what a stranger wrote was read. May wait.
  virtual void source_was_read() = 0;
  /// A text as whoever reads the deployment's log may see it: one line, without its secrets.
  [[nodiscard]] virtual std::string shown(std::string_view text) const = 0;
};

}  // namespace builder::build
