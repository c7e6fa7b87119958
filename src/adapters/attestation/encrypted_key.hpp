#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"

#include <string_view>

namespace builder::adapters::attestation {

/// Decrypts what stands between the lines of a PEM file that `cosign generate-key-pair` wrote
/// (`ENCRYPTED SIGSTORE PRIVATE KEY`, formerly `ENCRYPTED COSIGN PRIVATE KEY`): JSON as in
/// go-securesystemslib/encrypted, with scrypt and NaCl's secretbox. Returns PKCS #8 in DER.
/// `invalid_input` when the password is wrong, or the text is something else; never takes more
/// than 256 MiB.
Result<Secret> decrypt_cosign_key(std::string_view text, const Secret& password);

}  // namespace builder::adapters::attestation
