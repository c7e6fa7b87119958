#pragma once

#include "adapters/oci/client.hpp"
#include "ports/attestations.hpp"
#include "ports/signer.hpp"

#include <memory>

namespace builder::adapters::attestation {

/// Keeps statements as referrers of the image, at its own registry: signed as Sigstore bundles, as
/// `cosign attest` and `cosign sign` do; without a key as they are, as BuildKit does.
/// `client` outlives it. Null: there is no key.
std::unique_ptr<ports::Attestations> make_attestations(oci::Client& client,
                                                       std::unique_ptr<ports::Signer> signer);

}  // namespace builder::adapters::attestation
