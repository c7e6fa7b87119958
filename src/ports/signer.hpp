#pragma once

#include "base/result.hpp"
#include "ports/job_context.hpp"

#include <string>
#include <string_view>

namespace builder::ports {

/// A key that signs for this platform: ECDSA on P-256 with SHA-256. The key never leaves it.
/// Thread-safe.
class Signer {
 public:
  virtual ~Signer() = default;
  /// The signature of a message, in ASN.1 (DER). Errors: with `Error::setting` when the key cannot
  /// be used; `unavailable`/`timed_out` after retries, `cancelled`.
  virtual Result<std::string> sign(const JobContext& job, std::string_view message) = 0;
  /// The public key, in DER (SubjectPublicKeyInfo). Errors: likewise.
  virtual Result<std::string> public_key(const JobContext& job) = 0;
};

}  // namespace builder::ports
