#pragma once

#include <openssl/types.h>

namespace builder::adapters::attestation {

/// Whether the key, of either half, is one for ECDSA on P-256: the only kind that is read here.
bool is_on_p256(const EVP_PKEY* key);

}  // namespace builder::adapters::attestation
