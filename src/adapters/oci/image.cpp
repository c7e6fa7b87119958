#include "adapters/oci/client.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "domain/platform_name.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace builder::adapters::oci {
namespace {

using nlohmann::json;

constexpr std::size_t k_config_limit = 8U << 20U;
constexpr std::size_t k_most_images = 64;  // Of an index.
constexpr std::size_t k_most_layers = 512;
/// A manifest may say any number.
constexpr std::uint64_t k_largest_layer = std::uint64_t{1} << 48U;

struct Entry {
  std::string digest;
  std::string platform;
};

/// The images of an index; attestations are passed over. Nothing: it is no index.
std::optional<std::vector<Entry>> images_in(const std::string& manifest) {
  const json index = parse_json(manifest);
  if (!index.is_object() || !index.contains("manifests")) {
    return std::nullopt;
  }
  std::vector<Entry> images;
  const json& manifests = index["manifests"];
  for (const json& entry : manifests.is_array() ? manifests : json::array()) {
    const auto platform = entry.is_object() ? entry.find("platform") : entry.end();
    if (!entry.is_object() || platform == entry.end() || !platform->is_object()) {
      continue;
    }
    const std::string system = text_of(*platform, "os");
    const std::string digest = text_of(entry, "digest");
    if (system != "unknown" && is_digest(digest) && images.size() < k_most_images) {
      images.push_back(
          {.digest = digest, .platform = system + "/" + text_of(*platform, "architecture")});
    }
  }
  return images;
}

}  // namespace

std::string platform_of_config(std::string_view config) {
  // As much as BuildKit itself takes.
  constexpr std::size_t k_largest = 4 * 1024 * 1024;
  const auto image = config.size() > k_largest ? nlohmann::json() : parse_json(config);
  if (!image.is_object()) {
    return {};
  }
  const std::string machine = text_of(image, "architecture");
  const std::string system = text_of(image, "os");
  const std::string variant = text_of(image, "variant");
  return machine.empty() ? std::string()
                         : fmt::format("{}/{}{}{}", system.empty() ? "linux" : system, machine,
                                       variant.empty() ? "" : "/", variant);
}

domain::ImageLayers layers_of(const Manifest& manifest) {
  const json content = parse_json(manifest.bytes);
  const auto list = content.is_object() ? content.find("layers") : content.end();
  if (!content.is_object() || list == content.end() || !list->is_array() ||
      list->size() > k_most_layers) {
    return {};
  }
  domain::ImageLayers layers;
  for (const json& entry : *list) {
    const auto size = entry.is_object() ? entry.find("size") : entry.end();
    if (!entry.is_object() || size == entry.end() || !size->is_number_unsigned() ||
        size->get<std::uint64_t>() > k_largest_layer || !is_digest(text_of(entry, "digest"))) {
      return {};
    }
    layers.emplace(text_of(entry, "digest"), size->get<std::uint64_t>());
  }
  return layers;
}

Result<Image> Client::with_config(const ports::JobContext& job, const Reference& reference,
                                  Manifest manifest) {
  Image image{.reference = reference.with_digest(manifest.digest),
              .manifest = std::move(manifest),
              .config = {}};
  const json content = parse_json(image.manifest.bytes);
  const auto config = content.is_object() ? content.find("config") : content.end();
  if (!content.is_object() || config == content.end() || !config->is_object()) {
    return failure(ErrorKind::internal, reference.str() + " is no image");
  }
  BUILDER_TRY_ASSIGN(image.config,
                     blob(job, reference, text_of(*config, "digest"), k_config_limit));
  return image;
}

Result<Image> Client::image(const ports::JobContext& job, const Reference& reference,
                            std::string_view platform) {
  BUILDER_TRY_ASSIGN(Manifest found, manifest(job, reference));
  const std::string top = found.digest;
  if (const auto entries = images_in(found.bytes)) {
    const auto entry = std::ranges::find_if(*entries, [platform](const Entry& one) {
      return domain::is_same_machine(one.platform, platform);
    });
    if (entry == entries->end()) {
      return failure(ErrorKind::not_found,
                     fmt::format("{} has no variant for {}", reference.str(), platform));
    }
    BUILDER_TRY_ASSIGN(found, manifest(job, reference.with_digest(entry->digest)));
  }
  BUILDER_TRY_ASSIGN(Image image, with_config(job, reference, std::move(found)));
  image.reference = reference.with_digest(top);
  return image;
}

Result<std::vector<Image>> Client::images(const ports::JobContext& job,
                                          const Reference& reference) {
  BUILDER_TRY_ASSIGN(Manifest found, manifest(job, reference));
  std::vector<Image> images;
  const auto entries = images_in(found.bytes);
  if (!entries) {
    BUILDER_TRY_ASSIGN(Image image, with_config(job, reference, std::move(found)));
    images.push_back(std::move(image));
    return images;
  }
  for (const Entry& entry : *entries) {
    BUILDER_TRY_ASSIGN(Manifest one, manifest(job, reference.with_digest(entry.digest)));
    BUILDER_TRY_ASSIGN(Image image, with_config(job, reference, std::move(one)));
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace builder::adapters::oci
