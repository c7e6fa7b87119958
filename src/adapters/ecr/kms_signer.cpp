#include "adapters/ecr/kms_signer.hpp"

#include "base/json.hpp"
#include "base/sync.hpp"
#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <utility>

namespace builder::adapters::ecr {

namespace {

using nlohmann::json;

constexpr std::string_view k_scheme = "awskms://";
constexpr const char* k_algorithm = "ECDSA_SHA_256";
constexpr const char* k_setting = "SIGNING_KEY";

class KmsSigner final : public ports::Signer {
 public:
  KmsSigner(std::unique_ptr<Api> api, KmsKey key) : api_(std::move(api)), key_(std::move(key)) {}

  Result<std::string> sign(const ports::JobContext& job, std::string_view message) override {
    // The message itself may be larger than KMS takes.
    const std::array<std::uint8_t, 32> digest = sha256(message);
    return ask(
        job, "Sign",
        {{"KeyId", key_.id},
         {"Message", base64_encode({reinterpret_cast<const char*>(digest.data()), digest.size()})},
         {"MessageType", "DIGEST"},
         {"SigningAlgorithm", k_algorithm}},
        "Signature");
  }

  Result<std::string> public_key(const ports::JobContext& job) override {
    if (std::string known = *public_key_.lock(); !known.empty()) {
      return known;
    }
    BUILDER_TRY_ASSIGN(std::string der,
                       ask(job, "GetPublicKey", {{"KeyId", key_.id}}, "PublicKey"));
    *public_key_.lock() = der;
    return der;
  }

 private:
  Result<std::string> ask(const ports::JobContext& job, std::string_view operation,
                          const json& input, const char* field) {
    const auto answer = api_->call(operation, input, job.stop, job.within(k_call_limit).deadline);
    if (!answer) {
      Error error = answer.error().error;
      // Of the key, and not of the keys to AWS.
      return std::unexpected(error.is_transient() ? std::move(error)
                                                  : std::move(error).for_operator(k_setting));
    }
    auto bytes = base64_decode(text_of(*answer, field));
    if (!bytes || bytes->empty()) {
      return std::unexpected(Error{.kind = ErrorKind::internal,
                                   .message = "KMS answers without a " + std::string(field)}
                                 .for_operator(k_setting));
    }
    std::string spec = text_of(*answer, "KeySpec");
    if (spec.empty()) {
      spec = text_of(*answer, "CustomerMasterKeySpec");  // Its older name; a signature has neither.
    }
    if (!spec.empty() && spec != "ECC_NIST_P256") {
      return std::unexpected(Error{.kind = ErrorKind::invalid_input,
                                   .message = "the key in KMS is of the kind " +
                                              printable_line(spec, 40) +
                                              "; ECC_NIST_P256 is needed"}
                                 .for_operator(k_setting));
    }
    return *std::move(bytes);
  }

  const std::unique_ptr<Api> api_;
  const KmsKey key_;
  Sync<std::string> public_key_;  ///< DER; empty: not asked yet.
};

}  // namespace

Result<std::optional<KmsKey>> parse_kms_key(std::string_view text) {
  if (!text.starts_with(k_scheme)) {
    return std::nullopt;
  }
  text.remove_prefix(k_scheme.size());
  const auto allowed = [](unsigned char ch) {
    return std::isalnum(ch) != 0 || std::string_view(":/_-").contains(static_cast<char>(ch));
  };
  if (!text.starts_with('/')) {
    return failure(ErrorKind::invalid_input,
                   "names a host: write awskms:///KEY, and the endpoint in AWS_ENDPOINT_URL_KMS");
  }
  text.remove_prefix(1);
  if (text.empty() || text.size() > 2'048 || !std::ranges::all_of(text, allowed)) {
    return failure(ErrorKind::invalid_input, "names no key: awskms:///ID, …/ARN or …/alias/NAME");
  }
  KmsKey key{.id = std::string(text), .region = {}};
  // arn:aws:kms:REGION:ACCOUNT:key/ID
  if (text.starts_with("arn:")) {
    std::string_view rest = text;
    for (int field = 0; field < 3 && rest.contains(':'); ++field) {
      rest.remove_prefix(rest.find(':') + 1);
    }
    key.region = std::string(rest.substr(0, rest.find(':')));
  }
  return key;
}

std::unique_ptr<ports::Signer> make_kms_signer(std::unique_ptr<Api> api, KmsKey key) {
  return std::make_unique<KmsSigner>(std::move(api), std::move(key));
}

}  // namespace builder::adapters::ecr
