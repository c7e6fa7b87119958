#include "base/keyed_hash.hpp"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <memory>
#include <string>

namespace builder {
namespace {

constexpr KeyedHash::Key k_key{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/// As another implementation has it.
std::uint64_t expected(const std::string& data) {
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> mac(
      EVP_MAC_fetch(nullptr, "SIPHASH", nullptr), EVP_MAC_free);
  const std::unique_ptr<EVP_MAC_CTX, decltype(&EVP_MAC_CTX_free)> context(
      EVP_MAC_CTX_new(mac.get()), EVP_MAC_CTX_free);
  std::size_t size = 8;
  const std::array<OSSL_PARAM, 2> parameters{
      OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size), OSSL_PARAM_construct_end()};
  std::uint64_t hash = 0;
  EXPECT_EQ(EVP_MAC_init(context.get(), k_key.data(), k_key.size(), parameters.data()), 1);
  EXPECT_EQ(EVP_MAC_update(context.get(), reinterpret_cast<const unsigned char*>(data.data()),
                           data.size()),
            1);
  EXPECT_EQ(
      EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(&hash), &size, sizeof hash), 1);
  return hash;
}

TEST(KeyedHash, IsSipHash) {
  const KeyedHash hash(k_key);
  std::string data;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(hash(data), expected(data)) << i;
    data += static_cast<char>(250 - i);
  }
  // Of its authors' paper.
  EXPECT_EQ(hash({"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e", 15}),
            0xa129ca6149be45e5U);
}

TEST(KeyedHash, ChangesWithItsKey) {
  KeyedHash::Key other = k_key;
  other[15] ^= 1;
  EXPECT_NE(KeyedHash(k_key)("data"), KeyedHash(other)("data"));
}

}  // namespace
}  // namespace builder
