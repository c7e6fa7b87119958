#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain::buildpacks {

/// A version of the platform API (0.7, 0.13): what a lifecycle and its platform agree on.
struct ApiVersion {
  int major = 0;
  int minor = 0;

  auto operator<=>(const ApiVersion&) const = default;
  [[nodiscard]] std::string str() const;
};

std::optional<ApiVersion> parse_api_version(std::string_view text);

struct RunImage {
  std::string image;
  std::vector<std::string> mirrors;
};

/// What a builder image says about itself in its configuration. Only the ids are a must: the
/// lifecycle needs no label, so everything else is a hint.
struct BuilderImage {
  std::uint32_t user_id = 0;
  std::uint32_t group_id = 0;
  std::vector<RunImage> run_images;
  std::string lifecycle_version;          ///< Empty: not said.
  std::vector<ApiVersion> platform_apis;  ///< Empty: not said.
  std::string platform = {};              ///< What it is for; empty: not said.
};

/// Reads the JSON of a builder's image configuration. `invalid_input` with the customer's line for
/// an image without CNB_USER_ID and CNB_GROUP_ID (buildpacks would run as root), with ids of root,
/// or with image extensions in its order.
Result<BuilderImage> read_builder_image(std::string_view config_json, std::string_view name);

/// The platform API to ask for: the highest of those the platform knows (0.7 to 0.13) that the
/// lifecycle supports; 0.12 when it does not say. `invalid_input` when there is none.
Result<ApiVersion> choose_platform_api(const BuilderImage& builder, std::string_view name);

/// References of the run image in the order in which they are tried: what lies on the registry of
/// the image to be made comes first, then the images by their own names, then their mirrors.
std::vector<std::string> run_image_candidates(const BuilderImage& builder,
                                              std::string_view target_registry);

/// Whether `reference` is the same repository and tag as one of the list. A missing tag is
/// `latest`; an entry without a tag stands for all tags of its repository. Docker Hub's ways of
/// writing a name are equal.
bool is_listed(std::string_view reference, const std::vector<std::string>& list);

/// The archived builder the original service used by default, whatever its tag.
bool is_archived_builder(std::string_view reference);

/// Builders whose publishers are trusted with registry credentials, as `pack` has them.
const std::vector<std::string>& known_builders();

}  // namespace builder::domain::buildpacks
