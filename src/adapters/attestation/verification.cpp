#include "adapters/attestation/verification.hpp"

#include "adapters/attestation/bundle.hpp"
#include "adapters/attestation/ec_key.hpp"
#include "base/deleter.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

#include <nlohmann/json.hpp>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <algorithm>
#include <cstddef>

namespace builder::adapters::attestation {

namespace {

using nlohmann::json;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free>>;
using Digesting = std::unique_ptr<EVP_MD_CTX, Deleter<EVP_MD_CTX_free>>;

constexpr std::size_t k_longest_key = std::size_t{64} << 10U;
/// What a bundle may have more than that, nobody looks at.
constexpr std::size_t k_most_signatures = 16;
constexpr std::size_t k_most_subjects = 100;

bool is_signed(std::string_view message, std::string_view signature,
               std::span<const PublicKey> keys) {
  const auto bytes = base64_decode(signature);
  return bytes && std::ranges::any_of(
                      keys, [&](const PublicKey& key) { return key.verifies(message, *bytes); });
}

}  // namespace

Result<PublicKey> PublicKey::parse(std::string_view pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(std::min(pem.size(), k_longest_key))));
  std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr),
                                &EVP_PKEY_free);
  ERR_clear_error();
  if (key == nullptr) {
    return failure(ErrorKind::invalid_input, "holds no public key in PEM");
  }
  if (!is_on_p256(key.get())) {
    return failure(ErrorKind::invalid_input,
                   "holds a key of another kind than ECDSA on P-256 (prime256v1)");
  }
  return PublicKey(std::move(key));
}

bool PublicKey::verifies(std::string_view message, std::string_view signature) const {
  const Digesting context(EVP_MD_CTX_new());
  const bool fits =
      context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                       signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                       message.size()) == 1;
  ERR_clear_error();
  return fits;
}

std::optional<SignedStatement> verified_statement(std::string_view bundle,
                                                  std::span<const PublicKey> keys) {
  const json envelope = part_of(parse_json(bundle), "dsseEnvelope");
  const json signatures = part_of(envelope, "signatures");
  if (!envelope.is_object() || !signatures.is_array() ||
      text_of(envelope, "payloadType") != k_statement_type) {
    return std::nullopt;
  }
  const auto payload = base64_decode(text_of(envelope, "payload"));
  if (!payload) {
    return std::nullopt;
  }
  const std::string message = pre_authentication_encoding(k_statement_type, *payload);
  bool found = false;
  for (std::size_t i = 0; !found && i < std::min(signatures.size(), k_most_signatures); ++i) {
    found = signatures[i].is_object() && is_signed(message, text_of(signatures[i], "sig"), keys);
  }
  if (!found) {
    return std::nullopt;
  }
  const json statement = parse_json(*payload);
  const json subjects = part_of(statement, "subject");
  if (!statement.is_object() || !subjects.is_array()) {
    return std::nullopt;
  }
  SignedStatement read{.predicate_type = text_of(statement, "predicateType"), .subjects = {}};
  for (std::size_t i = 0; i < std::min(subjects.size(), k_most_subjects); ++i) {
    const json digests = part_of(subjects[i], "digest");
    if (digests.is_object()) {
      read.subjects.push_back("sha256:" + text_of(digests, "sha256"));
    }
  }
  return read;
}

std::optional<std::string> verified_payload(std::string_view payload, std::string_view signature,
                                            std::span<const PublicKey> keys) {
  if (!is_signed(payload, signature, keys)) {
    return std::nullopt;
  }
  const json critical = part_of(parse_json(payload), "critical");
  const json image = part_of(critical, "image");
  if (!image.is_object() || text_of(critical, "type") != "cosign container image signature") {
    return std::nullopt;
  }
  return text_of(image, "docker-manifest-digest");
}

}  // namespace builder::adapters::attestation
