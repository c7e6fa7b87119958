#pragma once

#include "adapters/oci/client.hpp"
#include "adapters/oci/retrying_push.hpp"
#include "base/result.hpp"
#include "domain/platform_name.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::oci {

/// The media type of an index (OCI image specification 1.1, image-index.md).
inline constexpr std::string_view k_index_type = "application/vnd.oci.image.index.v1+json";

/// An image that was pushed by its digest, to become part of an index.
struct PlatformImage {
  std::string platform;
  nlohmann::json descriptor;  ///< `mediaType`, `digest` and `size`, as who pushed it gave them.
};

/// The index of images for several platforms, in their order; the same images give the same bytes.
/// What is an index already (an image with papers of BuildKit's) is read, and its entries become
/// part of the new one. Errors: `internal` for a descriptor that is none, and those of
/// `Client::manifest`.
Result<Manifest> make_index(Client& client, const ports::JobContext& job,
                            const Reference& repository, const std::vector<PlatformImage>& images);

/// Puts it under the tag, as often as the rules for pushes say.
Result<> push_index(Client& client, const ports::JobContext& job, const Reference& tagged,
                    const Manifest& index, RetryingPush& retrying);

}  // namespace builder::adapters::oci
