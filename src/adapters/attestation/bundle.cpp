#include "adapters/attestation/bundle.hpp"

#include "base/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <array>
#include <cstdint>

namespace builder::adapters::attestation {

namespace {

std::string_view view(const std::array<std::uint8_t, 32>& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace

std::string pre_authentication_encoding(std::string_view type, std::string_view payload) {
  return fmt::format("DSSEv1 {} {} {} {}", type.size(), type, payload.size(), payload);
}

std::string sigstore_bundle(std::string_view statement, std::string_view signature,
                            std::string_view public_key) {
  return nlohmann::json{{"mediaType", k_bundle_type},
                        {"verificationMaterial",
                         {{"publicKey", {{"hint", base64_encode(view(sha256(public_key)))}}}}},
                        {"dsseEnvelope",
                         {{"payload", base64_encode(statement)},
                          {"payloadType", k_statement_type},
                          {"signatures", {{{"sig", base64_encode(signature)}}}}}}}
      .dump();
}

}  // namespace builder::adapters::attestation
