#pragma once

#include <string>
#include <string_view>

namespace builder::adapters::attestation {

inline constexpr std::string_view k_bundle_type = "application/vnd.dev.sigstore.bundle.v0.3+json";
inline constexpr std::string_view k_statement_type = "application/vnd.in-toto+json";

/// What is signed of a message in a DSSE envelope, so that it means nothing under another type:
/// https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md
std::string pre_authentication_encoding(std::string_view type, std::string_view payload);

/// A Sigstore bundle (v0.3, JSON) with the statement in a signed envelope. `signature` and
/// `public_key` are in DER; the key itself is not in it, but the hint that cosign gives.
/// https://docs.sigstore.dev/about/bundle
std::string sigstore_bundle(std::string_view statement, std::string_view signature,
                            std::string_view public_key);

}  // namespace builder::adapters::attestation
