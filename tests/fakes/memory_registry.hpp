#pragma once

#include "adapters/oci/client.hpp"
#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace builder::fakes {

/// One repository of a registry, with or without lists of referrers. Thread-safe.
class MemoryRegistry final : public adapters::oci::Client {
 public:
  using Manifest = adapters::oci::Manifest;
  using Reference = adapters::oci::Reference;

  explicit MemoryRegistry(bool lists) : lists_(lists) {}

  Result<> ping(const ports::JobContext&, const std::string&) override { return {}; }

  Result<Manifest> manifest(const ports::JobContext&, const Reference& reference) override {
    const std::lock_guard lock(mutex_);
    const auto tag = tags.find(reference.tag);
    const auto found = manifests.find(
        reference.digest.empty() && tag != tags.end() ? tag->second : reference.digest);
    return found == manifests.end() ? failure(ErrorKind::not_found, "no " + reference.str())
                                    : Result<Manifest>(found->second);
  }

  Result<adapters::oci::Descriptor> head(const ports::JobContext& job,
                                         const Reference& reference) override {
    BUILDER_TRY_ASSIGN(const Manifest there, manifest(job, reference));
    return adapters::oci::Descriptor{.digest = there.digest, .media_type = there.media_type};
  }

  Result<adapters::oci::Stored> put(const ports::JobContext&, const Reference& reference,
                                    const Manifest& sent) override {
    {
      const std::lock_guard lock(mutex_);
      if (refusal) {
        return std::unexpected(*refusal);
      }
      if (tags_never_move && reference.digest.empty() && tags.contains(reference.tag) &&
          tags.at(reference.tag) != sent.digest) {
        return failure(ErrorKind::conflict, "tag " + reference.tag + " is immutable");
      }
      ++puts;
      manifests[sent.digest] = sent;
      if (reference.digest.empty()) {
        tags[reference.tag] = sent.digest;
      }
    }
    const auto content = nlohmann::json::parse(sent.bytes);
    const bool has_subject = content.contains("subject");
    if (!has_subject && after_index) {
      std::exchange(after_index, {})();
    }
    return adapters::oci::Stored{.lists_subject = lists_ && has_subject};
  }

  Result<Manifest> referrers(const ports::JobContext&, const Reference& reference) override {
    if (!lists_) {
      return failure(ErrorKind::not_found, "no lists here");
    }
    const std::lock_guard lock(mutex_);
    auto index = nlohmann::json{{"schemaVersion", 2}, {"manifests", nlohmann::json::array()}};
    for (const auto& [digest, there] : manifests) {
      const auto content = nlohmann::json::parse(there.bytes);
      if (content.contains("subject") && content["subject"]["digest"] == reference.digest) {
        index["manifests"].push_back({{"mediaType", there.media_type},
                                      {"digest", digest},
                                      {"size", there.bytes.size()},
                                      {"artifactType", content.value("artifactType", "")},
                                      {"annotations", content["annotations"]}});
      }
    }
    return Manifest{.bytes = index.dump(), .media_type = "index", .digest = {}};
  }

  Result<std::string> blob(const ports::JobContext&, const Reference&, const std::string& digest,
                           std::size_t) override {
    const std::lock_guard lock(mutex_);
    return blobs.at(digest);
  }

  Result<> stream_blob(const ports::JobContext&, const Reference&, const std::string&,
                       const adapters::oci::BlobTaker&) override {
    return failure(ErrorKind::internal, "no layers here");
  }

  Result<> push_blob(const ports::JobContext&, const Reference&,
                     const std::string& bytes) override {
    const std::lock_guard lock(mutex_);
    if (refusal) {
      return std::unexpected(*refusal);
    }
    blobs["sha256:" + sha256_hex(bytes)] = bytes;
    return {};
  }

  /// Puts something there; gives its digest.
  std::string store(const std::string& bytes, const std::string& tag = {}) {
    const std::lock_guard lock(mutex_);
    std::string digest = "sha256:" + sha256_hex(bytes);
    manifests[digest] = {.bytes = bytes, .media_type = "m", .digest = digest};
    if (!tag.empty()) {
      tags[tag] = digest;
    }
    return digest;
  }

  std::map<std::string, Manifest> manifests;
  std::map<std::string, std::string> tags;
  std::map<std::string, std::string> blobs;
  std::optional<Error> refusal;       ///< What is pushed is answered so.
  std::function<void()> after_index;  ///< Once, behind the next index that is put.
  bool tags_never_move = false;
  int puts = 0;

 private:
  const bool lists_;
  std::mutex mutex_;
};

}  // namespace builder::fakes
