#pragma once

#include "adapters/oci/client.hpp"
#include "adapters/policy/policy.hpp"
#include "base/result.hpp"
#include "base/sync.hpp"
#include "ports/job_context.hpp"

#include <memory>
#include <set>
#include <string>

namespace builder::adapters::policy {

/// Lets images into builds, or not. What it found signed is remembered by the digest, so that the
/// next build asks no registry. Thread-safe.
class Gate {
 public:
  /// `client` outlives it.
  Gate(std::shared_ptr<const Policy> policy, oci::Client& client)
      : policy_(std::move(policy)), client_(client) {}

  [[nodiscard]] const Policy& policy() const { return *policy_; }

  /// The image as a build may take it: what has to be signed, by the digest that was looked at,
  /// and everything else as it is named. `pinned`: the digest that the build takes in place of what
  /// the registry has under the tag; empty: there is none.
  ///
  /// Errors: `build_failed`, its `customer` the end of a line that begins with the place; of a
  /// registry that does not answer, `unavailable` or `timed_out`, likewise; `cancelled`.
  Result<oci::Reference> admit(const ports::JobContext& job, const oci::Reference& named,
                               const std::string& pinned = {});

 private:
  struct Found {
    bool signature = false;
    bool provenance = false;
  };

  Result<> check_signature(const ports::JobContext& job, const oci::Reference& image,
                           const ImageRule& rule);
  Result<> look_at_bundles(const ports::JobContext& job, const oci::Reference& image,
                           const ImageRule& rule, Found& found);
  Result<> look_at_tag(const ports::JobContext& job, const oci::Reference& image,
                       const ImageRule& rule, Found& found);
  Result<std::string> content_of(const ports::JobContext& job, const oci::Reference& artifact);

  const std::shared_ptr<const Policy> policy_;
  oci::Client& client_;
  Sync<std::set<std::string>> signed_;  ///< Image by digest, and the rule it is signed for.
};

}  // namespace builder::adapters::policy
