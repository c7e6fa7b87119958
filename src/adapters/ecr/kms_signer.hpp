#pragma once

#include "adapters/ecr/api.hpp"
#include "base/result.hpp"
#include "ports/signer.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace builder::adapters::ecr {

/// A key of AWS KMS, as cosign writes it: `awskms:///KEY`, where KEY is an id, an ARN, or
/// `alias/NAME`.
struct KmsKey {
  std::string id;
  std::string region;  ///< Of an ARN; empty: the worker's own.
};

/// nullopt: it does not begin with `awskms://`. `invalid_input`: it does, and names no key.
Result<std::optional<KmsKey>> parse_kms_key(std::string_view text);

/// Signs with a key of the kind ECC_NIST_P256 that is meant to sign and verify. Needs the rights
/// kms:Sign and kms:GetPublicKey on it. `api`, KMS's, is kept.
std::unique_ptr<ports::Signer> make_kms_signer(std::unique_ptr<Api> api, KmsKey key);

}  // namespace builder::adapters::ecr
