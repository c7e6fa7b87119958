#include "adapters/attestation/encrypted_key.hpp"

#include "base/json.hpp"
#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <sodium.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

namespace builder::adapters::attestation {

namespace {

using nlohmann::json;

/// Of scrypt: 128 * N * r bytes of memory.
constexpr std::uint64_t k_most_memory = 256U << 20U;
constexpr std::uint64_t k_most_rounds = 16;

struct Scrypt {
  std::uint64_t n = 0;
  std::uint64_t r = 0;
  std::uint64_t p = 0;
};

std::uint64_t number_of(const json& object, const char* name) {
  const json number = part_of(object, name);
  return number.is_number_unsigned() ? number.get<std::uint64_t>() : 0;
}

/// nullopt: these numbers are no parameters of scrypt, or ask for too much.
std::optional<Scrypt> scrypt_of(const json& kdf) {
  const json parameters = part_of(kdf, "params");
  const Scrypt said{.n = number_of(parameters, "N"),
                    .r = number_of(parameters, "r"),
                    .p = number_of(parameters, "p")};
  const bool is_sane = said.n >= 2 && (said.n & (said.n - 1)) == 0 && said.r >= 1 &&
                       said.r <= k_most_rounds && said.p >= 1 && said.p <= k_most_rounds &&
                       said.n <= k_most_memory / 128 / said.r;
  return text_of(kdf, "name") == "scrypt" && is_sane ? std::optional(said) : std::nullopt;
}

const unsigned char* bytes_of(const std::string& text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

Result<Secret> decrypt_cosign_key(std::string_view text, const Secret& password) {
  const json box = parse_json(text);
  const json kdf = part_of(box, "kdf");
  const json cipher = part_of(box, "cipher");
  const auto scrypt = scrypt_of(kdf.is_object() ? kdf : json::object());
  const std::string cipher_name = cipher.is_object() ? text_of(cipher, "name") : std::string();
  if (!scrypt || cipher_name != "nacl/secretbox") {
    return failure(ErrorKind::invalid_input, "holds a key that is encrypted in an unknown way");
  }
  const auto salt = base64_decode(text_of(kdf, "salt"));
  const auto nonce = base64_decode(text_of(cipher, "nonce"));
  const auto packed = base64_decode(text_of(box, "ciphertext"));
  if (!salt || !nonce || nonce->size() != crypto_secretbox_NONCEBYTES || !packed ||
      packed->size() <= crypto_secretbox_MACBYTES) {
    return failure(ErrorKind::invalid_input, "holds a damaged encrypted key");
  }
  std::array<unsigned char, crypto_secretbox_KEYBYTES> key{};
  const std::string& word = password.reveal();
  if (sodium_init() < 0 ||
      crypto_pwhash_scryptsalsa208sha256_ll(
          bytes_of(word), word.size(), bytes_of(*salt), salt->size(), scrypt->n,
          static_cast<std::uint32_t>(scrypt->r), static_cast<std::uint32_t>(scrypt->p), key.data(),
          key.size()) != 0) {
    return failure(ErrorKind::internal, "holds a key that cannot be decrypted: too little memory");
  }
  std::string opened(packed->size() - crypto_secretbox_MACBYTES, '\0');
  const int is_wrong =
      crypto_secretbox_open_easy(reinterpret_cast<unsigned char*>(opened.data()), bytes_of(*packed),
                                 packed->size(), bytes_of(*nonce), key.data());
  sodium_memzero(key.data(), key.size());
  if (is_wrong != 0) {
    return failure(ErrorKind::invalid_input,
                   "holds an encrypted key, and SIGNING_KEY_PASSWORD is not its password");
  }
  return Secret(std::move(opened));
}

}  // namespace builder::adapters::attestation
