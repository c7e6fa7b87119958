#include "base/keyed_hash.hpp"

#include "base/check.hpp"
#include "base/text.hpp"

#include <openssl/evp.h>

#include <bit>
#include <cstddef>
#include <cstring>

namespace builder {

namespace {

static_assert(std::endian::native == std::endian::little);

std::uint64_t load(const void* bytes) {
  std::uint64_t word = 0;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

/// Source of the algorithm: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
struct State {
  std::uint64_t v0, v1, v2, v3;

  void round() {
    v0 += v1;
    v1 = std::rotl(v1, 13) ^ v0;
    v0 = std::rotl(v0, 32);
    v2 += v3;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 += v3;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 += v1;
    v1 = std::rotl(v1, 17) ^ v2;
    v2 = std::rotl(v2, 32);
  }

  void take(std::uint64_t word) {
    v3 ^= word;
    round();
    round();
    v0 ^= word;
  }
};

}  // namespace

KeyedHash::KeyedHash(const Key& key) : k0_(load(key.data())), k1_(load(key.data() + 8)) {
}

std::uint64_t KeyedHash::operator()(std::string_view data) const {
  State state{k0_ ^ 0x736f6d6570736575U, k1_ ^ 0x646f72616e646f6dU, k0_ ^ 0x6c7967656e657261U,
              k1_ ^ 0x7465646279746573U};
  std::uint64_t last = static_cast<std::uint64_t>(data.size()) << 56U;
  while (data.size() >= 8) {
    state.take(load(data.data()));
    data.remove_prefix(8);
  }
  for (std::size_t i = 0; i < data.size(); ++i) {
    last |= static_cast<std::uint64_t>(static_cast<unsigned char>(data[i])) << (8 * i);
  }
  state.take(last);
  state.v2 ^= 0xff;
  for (int i = 0; i < 4; ++i) {
    state.round();
  }
  return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

std::array<std::uint8_t, 32> hmac_sha256(std::string_view key, std::string_view data) {
  std::array<std::uint8_t, 32> digest{};
  BUILDER_CHECK(EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(),
                          reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                          digest.data(), digest.size(), nullptr) != nullptr);
  return digest;
}

std::string hmac_sha256_hex(std::string_view key, std::string_view data) {
  const auto hash = hmac_sha256(key, data);
  return hex({reinterpret_cast<const char*>(hash.data()), hash.size()});
}

std::string with_lengths(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) {
    text += std::to_string(part.size()) + ":";
    text += part;
  }
  return text;
}

}  // namespace builder
