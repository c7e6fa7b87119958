#include "adapters/sbom/lifecycle_sbom.hpp"

#include "adapters/image_search/unpacker.hpp"
#include "adapters/sbom/sbom_files.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "domain/buildpacks/result.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace builder::adapters::sbom {

namespace {

using nlohmann::json;

constexpr std::size_t k_largest_packed = std::size_t{16} << 20U;
/// Unpacked: it also holds a form of each list that is not read.
constexpr std::uint64_t k_largest_layer = std::uint64_t{256} << 20U;

bool is_sbom(std::string_view path) {
  return path.contains("/sbom/launch/") &&
         (path.ends_with("/sbom.spdx.json") || path.ends_with("/sbom.cdx.json"));
}

/// Empty: the image has none.
std::string layer_of(const oci::Image& image) {
  const auto number = domain::buildpacks::sbom_layer(image.config);
  const json layers = part_of(parse_json(image.manifest.bytes), "layers");
  if (!number || !layers.is_array() || *number >= layers.size() || !layers[*number].is_object()) {
    return {};
  }
  return text_of(layers[*number], "digest");
}

}  // namespace

Result<std::vector<domain::Sbom>> read_lifecycle_sbom(oci::Client& client,
                                                      const ports::JobContext& job,
                                                      const oci::Image& image) {
  std::vector<domain::Sbom> sboms;
  const std::string digest = layer_of(image);
  if (!is_digest(digest)) {
    return sboms;
  }
  BUILDER_TRY_ASSIGN(const std::string packed,
                     client.blob(job, image.reference, digest, k_largest_packed));
  SbomFiles files(is_sbom, k_largest_layer);
  Result<> taken;
  const auto unpacker = image_search::make_unpacker([&](std::string_view bytes) {
    taken = files.feed(bytes);
    return taken.has_value();
  });
  Result<> unpacked = unpacker->feed(packed);
  if (unpacked) {
    unpacked = unpacker->finish();
  }
  if (!taken || !unpacked) {
    const Error& error = taken ? unpacked.error() : taken.error();
    return failure(ErrorKind::conflict, "the SBOMs of the buildpacks: " + error.message);
  }
  for (const auto& [path, text] : files.files()) {
    if (auto sbom = domain::read_sbom(text)) {
      sboms.push_back(*std::move(sbom));
    } else {
      job.log.warning("the SBOM {} of a buildpack is left out: {}", printable_line(path, 200),
                      sbom.error().message);
    }
  }
  return sboms;
}

}  // namespace builder::adapters::sbom
