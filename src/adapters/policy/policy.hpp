#pragma once

#include "adapters/attestation/verification.hpp"
#include "adapters/oci/reference.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <expected>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::policy {

/// Images by their names: every one, all of a registry or a folder, or those of one repository.
struct ImagePattern {
  std::string written;  ///< In the file.
  std::string host;     ///< Lower case, as `oci::Reference::host`; empty: every image.
  std::string path;     ///< Of a folder with its slash; empty: all of the registry.

  [[nodiscard]] bool is_folder() const { return path.empty() || path.ends_with('/'); }

  [[nodiscard]] bool fits(const oci::Reference& image) const;
};

/// What images of these names have to be like.
struct ImageRule {
  std::string name;  ///< For refusals.
  std::vector<ImagePattern> images;
  bool digest = false;  ///< Named with a digest by whoever names them.
  /// Signed with one of them, as `cosign sign` does; empty: they need no signature.
  std::vector<attestation::PublicKey> signed_by;
  bool provenance = false;  ///< One of `signed_by` has signed SLSA provenance of the image as well.

  /// The image has to be looked at, not only its name.
  [[nodiscard]] bool needs_signature() const { return !signed_by.empty(); }
};

/// What no Dockerfile may ask for.
enum class Refused {
  add_url,            ///< ADD of what is not in the repository.
  network_host,       ///< RUN --network=host
  onbuild,            ///< ONBUILD
  security_insecure,  ///< RUN --security=insecure
};

/// As it is in the file: `add-url`.
std::string_view name_of(Refused refused);

/// What builds may be made of, as the operator's file says; docs/policy.md describes it.
struct Policy {
  /// The first that fits an image decides. Empty: every image may be used; otherwise one that none
  /// fits may not.
  std::vector<ImageRule> images;
  std::set<Refused> refused;
  /// Stands for the file and its keys: an image that was made under another policy is not used
  /// again.
  std::string fingerprint;

  /// The rule for an image, null where there are none; or why the image may not be used: the end of
  /// a customer's line. What a signature says is left to `Gate`.
  [[nodiscard]] std::expected<const ImageRule*, std::string> rule_for(
      const oci::Reference& image) const;
};

/// As people write it.
std::string shown(const oci::Reference& image);

}  // namespace builder::adapters::policy
