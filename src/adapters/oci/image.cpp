#include "adapters/oci/client.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace builder::adapters::oci {
namespace {

using nlohmann::json;

constexpr std::size_t k_config_limit = 8U << 20U;

/// The entry for linux/amd64; attestations and other platforms are passed over.
std::string amd64_of(const json& index) {
  const auto manifests = index.find("manifests");
  if (manifests == index.end() || !manifests->is_array()) {
    return {};
  }
  for (const json& entry : *manifests) {
    const auto platform = entry.is_object() ? entry.find("platform") : entry.end();
    if (entry.is_object() && platform != entry.end() && platform->is_object() &&
        text_of(*platform, "os") == "linux" && text_of(*platform, "architecture") == "amd64") {
      return text_of(entry, "digest");
    }
  }
  return {};
}

}  // namespace

Result<Image> Client::image(const ports::JobContext& job, const Reference& reference) {
  BUILDER_TRY_ASSIGN(Manifest found, manifest(job, reference));
  Image image{
      .reference = reference.with_digest(found.digest), .manifest = std::move(found), .config = {}};
  auto content = parse_json(image.manifest.bytes);
  if (content.is_object() && content.contains("manifests")) {
    const std::string digest = amd64_of(content);
    if (!is_digest(digest)) {
      return failure(ErrorKind::not_found, reference.str() + " has no variant for linux/amd64");
    }
    BUILDER_TRY_ASSIGN(image.manifest, manifest(job, reference.with_digest(digest)));
    content = parse_json(image.manifest.bytes);
  }
  const auto config = content.is_object() ? content.find("config") : content.end();
  if (!content.is_object() || config == content.end() || !config->is_object()) {
    return failure(ErrorKind::internal, reference.str() + " is no image");
  }
  BUILDER_TRY_ASSIGN(image.config,
                     blob(job, reference, text_of(*config, "digest"), k_config_limit));
  return image;
}

}  // namespace builder::adapters::oci
