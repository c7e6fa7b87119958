#pragma once

#include "base/result.hpp"

#include <string>
#include <string_view>

namespace builder::domain {

/// https://github.com/in-toto/attestation/blob/main/spec/predicates/spdx.md
inline constexpr std::string_view k_spdx_type = "https://spdx.dev/Document";
/// https://github.com/in-toto/attestation/blob/main/spec/predicates/cyclonedx.md
inline constexpr std::string_view k_cyclonedx_type = "https://cyclonedx.org/bom";

/// What is in an image (a software bill of materials), as a tool wrote it.
struct Sbom {
  std::string_view predicate_type;  ///< One of the two above.
  std::string document;             ///< A JSON object.

  bool operator==(const Sbom&) const = default;
};

/// Reads what a tool wrote: an SPDX 2 or CycloneDX document in JSON, or such a document as the
/// predicate of an in-toto statement. What the statement says it is about is not looked at. The
/// bytes of the document stay as they are; no copy of its values is made.
/// `invalid_input`, with what is wrong: no JSON, nested deeper than `k_deepest_json`, or no such
/// document.
Result<Sbom> read_sbom(std::string_view text);

/// An in-toto statement v1 that the image `image@digest` has this content.
std::string sbom_statement(std::string_view image, std::string_view digest, const Sbom& sbom);

}  // namespace builder::domain
