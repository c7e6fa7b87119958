#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace builder {

/// SipHash-2-4: a short hash that nobody can predict, or try values against, without the key.
class KeyedHash {
 public:
  using Key = std::array<std::uint8_t, 16>;

  explicit KeyedHash(const Key& key);

  std::uint64_t operator()(std::string_view data) const;

 private:
  std::uint64_t k0_;
  std::uint64_t k1_;
};

/// HMAC-SHA-256 (RFC 2104).
std::array<std::uint8_t, 32> hmac_sha256(std::string_view key, std::string_view data);
/// The same in 64 digits.
std::string hmac_sha256_hex(std::string_view key, std::string_view data);

/// What a hash is made of: each part with its length in front. A part can hold anything, and no two
/// lists give the same text.
std::string with_lengths(std::initializer_list<std::string_view> parts);

}  // namespace builder
