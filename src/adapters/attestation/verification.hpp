#pragma once

#include "base/result.hpp"

#include <openssl/types.h>

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::adapters::attestation {

/// A public key on P-256, as `cosign generate-key-pair` makes. Copies share it.
class PublicKey {
 public:
  /// Of a PEM text (`PUBLIC KEY`). `invalid_input` says what it is instead.
  static Result<PublicKey> parse(std::string_view pem);

  /// Whether `signature` (DER) is this key's, of exactly this message.
  [[nodiscard]] bool verifies(std::string_view message, std::string_view signature) const;

 private:
  explicit PublicKey(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}

  std::shared_ptr<EVP_PKEY> key_;
};

/// What an in-toto statement is about.
struct SignedStatement {
  std::string predicate_type;
  std::vector<std::string> subjects;  ///< `sha256:…`.
};

/// The statement in a Sigstore bundle whose envelope one of the keys has signed; nullopt: there is
/// none. Nothing of a bundle counts that a key did not sign: neither its hint nor its annotations.
std::optional<SignedStatement> verified_statement(std::string_view bundle,
                                                  std::span<const PublicKey> keys);

/// The digest of the image that a payload of cosign 2 (`simplesigning`) is about, if one of the
/// keys has signed it; `signature` is in Base64.
/// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
std::optional<std::string> verified_payload(std::string_view payload, std::string_view signature,
                                            std::span<const PublicKey> keys);

}  // namespace builder::adapters::attestation
