#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"
#include "ports/signer.hpp"

#include <openssl/types.h>

#include <memory>
#include <utility>

namespace builder::adapters::attestation {

/// A private key on P-256 in this process's memory. Copies share it.
class PrivateKey {
 public:
  /// Of a PEM text: PKCS #8 (`PRIVATE KEY`), SEC1 (`EC PRIVATE KEY`), or one that `password`
  /// decrypts: PKCS #8 (`ENCRYPTED PRIVATE KEY`) or cosign's own. `invalid_input` says what it is
  /// instead.
  static Result<PrivateKey> parse(const Secret& pem, const Secret& password);

  [[nodiscard]] EVP_PKEY* get() const { return key_.get(); }

 private:
  explicit PrivateKey(std::shared_ptr<EVP_PKEY> key) : key_(std::move(key)) {}

  std::shared_ptr<EVP_PKEY> key_;
};

std::unique_ptr<ports::Signer> make_key_signer(PrivateKey key);

}  // namespace builder::adapters::attestation
