#include "adapters/oci/referrers.hpp"

#include "adapters/oci/index.hpp"
#include "base/backoff.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <utility>

namespace builder::adapters::oci {
namespace {

using nlohmann::json;
using ports::JobContext;

constexpr std::string_view k_manifest_type = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view k_empty_type = "application/vnd.oci.empty.v1+json";
constexpr std::string_view k_empty = "{}";
constexpr std::size_t k_most_referrers = 1'000;
/// Of writing the index until our entries are in it.
constexpr int k_index_attempts = 5;
constexpr BackoffPolicy k_index_backoff{.base = std::chrono::milliseconds(50),
                                        .cap = std::chrono::milliseconds(1'000)};

std::string digest_of(std::string_view bytes) {
  return "sha256:" + sha256_hex(bytes);
}

json descriptor(std::string_view media_type, std::string_view bytes) {
  return {{"mediaType", media_type}, {"digest", digest_of(bytes)}, {"size", bytes.size()}};
}

Manifest manifest_of(const json& content, std::string_view media_type) {
  Manifest manifest{.bytes = content.dump(-1, ' ', false, json::error_handler_t::replace),
                    .media_type = std::string(media_type),
                    .digest = {}};
  manifest.digest = digest_of(manifest.bytes);
  return manifest;
}

/// All at once; the error of the first that fails.
Result<> together(const std::vector<std::function<Result<>()>>& tasks) {
  std::vector<std::future<Result<>>> running;
  running.reserve(tasks.size());
  for (const auto& task : tasks) {
    running.push_back(std::async(std::launch::async | std::launch::deferred, task));
  }
  Result<> all;
  for (auto& one : running) {
    Result<> ended = one.get();
    all = all ? std::move(ended) : std::move(all);
  }
  return all;
}

Result<json> parse_index(std::string_view text) {
  auto index = parse_json(text);
  const bool is_index =
      index.is_object() && index.contains("manifests") && index["manifests"].is_array();
  return is_index ? Result<json>(std::move(index))
                  : failure(ErrorKind::conflict, "no index of referrers is there");
}

bool has_entry(const json& index, const json& entry) {
  return std::ranges::any_of(index["manifests"], [&](const json& there) {
    return there.is_object() && text_of(there, "digest") == text_of(entry, "digest");
  });
}

/// The index that stands in for the list; nullopt: there is none.
Result<std::optional<Manifest>> fallback(Client& client, const JobContext& job,
                                         Reference reference) {
  reference.tag = referrers_tag(reference.digest);
  reference.digest.clear();
  auto there = client.manifest(job, reference);
  if (there) {
    return *std::move(there);
  }
  return there.error().kind == ErrorKind::not_found ? Result<std::optional<Manifest>>(std::nullopt)
                                                    : std::unexpected(std::move(there).error());
}

Result<> enter(Client& client, const JobContext& job, const Reference& subject,
               const json& entries) {
  Reference place = subject;
  place.tag = referrers_tag(subject.digest);
  place.digest.clear();
  auto random = make_random();
  for (int attempt = 0; attempt < k_index_attempts; ++attempt) {
    BUILDER_TRY_ASSIGN(const auto there, fallback(client, job, subject));
    const std::string before = there ? there->bytes : std::string();
    BUILDER_TRY_ASSIGN(std::string after, with_entries(before, entries));
    if (after == before) {
      return {};
    }
    Manifest index{
        .bytes = std::move(after), .media_type = std::string(k_index_type), .digest = {}};
    index.digest = digest_of(index.bytes);
    BUILDER_TRY(client.put(job, place, index));
    // Whoever wrote at the same moment had read the index without our entries.
    BUILDER_TRY_ASSIGN(const auto written, fallback(client, job, subject));
    if (written && written->digest == index.digest) {
      return {};
    }
    if (!sleep_for(next_delay(k_index_backoff, attempt, {}, random), job.stop)) {
      return failure(ErrorKind::cancelled, "stopped");
    }
  }
  return failure(ErrorKind::unavailable,
                 fmt::format("{}: others write this index all the time", place.str()));
}

}  // namespace

std::string referrers_tag(std::string_view digest) {
  std::string tag(digest);
  std::ranges::replace(tag, ':', '-');
  return tag;
}

Result<std::string> with_entries(std::string_view text, const json& entries) {
  json index{{"schemaVersion", 2}, {"mediaType", k_index_type}, {"manifests", json::array()}};
  if (!text.empty()) {
    BUILDER_TRY_ASSIGN(index, parse_index(text));
  }
  bool is_changed = false;
  for (const json& entry : entries) {
    if (!has_entry(index, entry)) {
      index["manifests"].push_back(entry);
      is_changed = true;
    }
  }
  if (!is_changed) {
    return std::string(text);
  }
  if (index["manifests"].size() > k_most_referrers) {
    return failure(ErrorKind::internal, "too much refers to this image");
  }
  return index.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<std::vector<Referrer>> find_referrers(Client& client, const JobContext& job,
                                             const Reference& subject) {
  auto list = client.referrers(job, subject);
  std::string text;
  if (list) {
    text = std::move(list)->bytes;
  } else if (list.error().kind == ErrorKind::not_found) {
    BUILDER_TRY_ASSIGN(auto there, fallback(client, job, subject));
    if (!there) {
      return std::vector<Referrer>();
    }
    text = std::move(there->bytes);
  } else {
    return std::unexpected(std::move(list).error());
  }
  auto index = parse_index(text);
  if (!index) {
    return failure(ErrorKind::internal, subject.str() + ": its list of referrers is no index");
  }
  std::vector<Referrer> found;
  for (const json& entry : (*index)["manifests"]) {
    if (found.size() == k_most_referrers) {
      break;
    }
    if (!entry.is_object() || !is_digest(text_of(entry, "digest"))) {
      continue;
    }
    Referrer referrer{.digest = text_of(entry, "digest"),
                      .type = text_of(entry, "artifactType"),
                      .annotations = {}};
    if (const auto notes = entry.find("annotations"); notes != entry.end() && notes->is_object()) {
      for (const auto& [name, value] : notes->items()) {
        if (value.is_string()) {
          referrer.annotations[name] = value.get<std::string>();
        }
      }
    }
    found.push_back(std::move(referrer));
  }
  return found;
}

Result<> attach(Client& client, const JobContext& job, const Reference& subject,
                const std::vector<Artifact>& artifacts) {
  json image;
  std::vector<std::function<Result<>()>> uploads{
      [&]() -> Result<> {
        BUILDER_TRY_ASSIGN(const Manifest there, client.manifest(job, subject));
        image = {{"mediaType", there.media_type},
                 {"digest", there.digest},
                 {"size", there.bytes.size()}};
        return {};
      },
      [&] { return client.push_blob(job, subject, std::string(k_empty)); }};
  for (const Artifact& artifact : artifacts) {
    uploads.emplace_back([&] { return client.push_blob(job, subject, artifact.content); });
  }
  BUILDER_TRY(together(uploads));

  // One after the other: a registry that keeps no list shows it with the first.
  json unlisted = json::array();
  for (const Artifact& artifact : artifacts) {
    const Manifest manifest =
        manifest_of({{"schemaVersion", 2},
                     {"mediaType", k_manifest_type},
                     {"artifactType", artifact.type},
                     {"config", descriptor(k_empty_type, k_empty)},
                     {"layers", {descriptor(artifact.media_type, artifact.content)}},
                     {"subject", image},
                     {"annotations", artifact.annotations}},
                    k_manifest_type);
    BUILDER_TRY_ASSIGN(const Stored stored,
                       client.put(job, subject.with_digest(manifest.digest), manifest));
    if (!stored.lists_subject) {
      json entry = descriptor(k_manifest_type, manifest.bytes);
      entry["artifactType"] = artifact.type;
      entry["annotations"] = artifact.annotations;
      unlisted.push_back(std::move(entry));
    }
  }
  return unlisted.empty() ? Result<>() : enter(client, job, subject, unlisted);
}

}  // namespace builder::adapters::oci
