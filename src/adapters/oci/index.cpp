#include "adapters/oci/index.hpp"

#include "base/json.hpp"
#include "base/text.hpp"

#include <cstdint>
#include <utility>

namespace builder::adapters::oci {

namespace {

using nlohmann::json;

constexpr std::string_view k_index_type_of_docker =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::size_t k_most_entries = 64;

std::unexpected<Error> no_descriptor() {
  return failure(ErrorKind::internal, "the engine did not say what it has pushed");
}

/// Nothing of a descriptor but what an index needs.
Result<json> entry_of(const PlatformImage& image) {
  const json& from = image.descriptor;
  const auto size = from.is_object() ? from.find("size") : from.end();
  if (!from.is_object() || size == from.end() || !size->is_number_unsigned() ||
      !is_digest(text_of(from, "digest")) || text_of(from, "mediaType").empty()) {
    return no_descriptor();
  }
  const domain::PlatformParts parts = domain::platform_parts(image.platform);
  json platform{{"architecture", parts.machine}, {"os", parts.system}};
  if (!parts.variant.empty()) {
    platform["variant"] = parts.variant;
  }
  return json{{"mediaType", text_of(from, "mediaType")},
              {"digest", text_of(from, "digest")},
              {"size", size->get<std::uint64_t>()},
              {"platform", std::move(platform)}};
}

PushFault fault_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::not_found:
      return PushFault::repository_missing;
    case ErrorKind::denied:
      return PushFault::unauthorized;
    case ErrorKind::unavailable:
    case ErrorKind::timed_out:
      return PushFault::registry_away;
    default:
      return PushFault::other;
  }
}

}  // namespace

Result<Manifest> make_index(Client& client, const ports::JobContext& job,
                            const Reference& repository, const std::vector<PlatformImage>& images) {
  json entries = json::array();
  for (const PlatformImage& image : images) {
    BUILDER_TRY_ASSIGN(json entry, entry_of(image));
    const std::string type = text_of(entry, "mediaType");
    if (type != k_index_type && type != k_index_type_of_docker) {
      entries.push_back(std::move(entry));
      continue;
    }
    BUILDER_TRY_ASSIGN(const Manifest inner,
                       client.manifest(job, repository.with_digest(text_of(entry, "digest"))));
    const json list = part_of(parse_json(inner.bytes), "manifests");
    if (!list.is_array()) {
      return no_descriptor();
    }
    entries.insert(entries.end(), list.begin(), list.end());
  }
  if (entries.size() > k_most_entries) {
    return no_descriptor();
  }
  const json index{{"schemaVersion", 2}, {"mediaType", k_index_type}, {"manifests", entries}};
  Manifest manifest{.bytes = index.dump(-1, ' ', false, json::error_handler_t::replace),
                    .media_type = std::string(k_index_type),
                    .digest = {}};
  manifest.digest = "sha256:" + sha256_hex(manifest.bytes);
  return manifest;
}

Result<> push_index(Client& client, const ports::JobContext& job, const Reference& tagged,
                    const Manifest& index, RetryingPush& retrying) {
  for (;;) {
    BUILDER_TRY(retrying.login());
    auto stored = client.put(job, tagged, index);
    if (stored) {
      retrying.succeeded();
      return {};
    }
    const PushFault fault = fault_of(stored.error());
    if (auto recovered = retrying.recover({.fault = fault, .error = std::move(stored).error()});
        !recovered) {
      return std::unexpected(std::move(recovered).error().with_context("pushing index"));
    }
  }
}

}  // namespace builder::adapters::oci
