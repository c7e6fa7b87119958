#pragma once

#include "adapters/oci/client.hpp"
#include "adapters/oci/reference.hpp"
#include "base/result.hpp"
#include "ports/job_context.hpp"

#include <nlohmann/json_fwd.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::oci {

/// What is said about an image, to be kept beside it: one file in an artifact manifest of its own.
/// https://github.com/opencontainers/image-spec/blob/v1.1.1/manifest.md#guidelines-for-artifact-usage
struct Artifact {
  std::string type;        ///< `artifactType`.
  std::string media_type;  ///< Of the content.
  std::string content;
  std::map<std::string, std::string> annotations;
};

/// An entry in the list of what refers to an image.
struct Referrer {
  std::string digest;
  std::string type;
  std::map<std::string, std::string> annotations;
};

/// What refers to the image `subject.digest`; at most the 1,000 that come first. Asks the list of
/// the registry, and where it has none the index under the tag of `referrers_tag`.
/// Errors: as of `Client`; `internal`: the list is none.
Result<std::vector<Referrer>> find_referrers(Client& client, const ports::JobContext& job,
                                             const Reference& subject);

/// Pushes the artifacts with the image `subject.digest` as their subject. A registry that does not
/// keep a list of referrers gets the index that others look for, beside what is in it.
///
/// The index has no lock: whoever else writes it at the same moment may drop our entries or lose
/// theirs. Ours are looked for afterwards, and entered again.
/// Errors: as of `Client`; `conflict`: the tag holds something else than an index.
Result<> attach(Client& client, const ports::JobContext& job, const Reference& subject,
                const std::vector<Artifact>& artifacts);

/// `sha256:abc…` -> `sha256-abc…`: where the index of an image's referrers is.
/// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#referrers-tag-schema
std::string referrers_tag(std::string_view digest);

/// The index `text` with these entries, without those that it has already; an empty text is an
/// index without entries. `conflict` when the text is no index; `internal` when it becomes too
/// large.
Result<std::string> with_entries(std::string_view text, const nlohmann::json& entries);

}  // namespace builder::adapters::oci
