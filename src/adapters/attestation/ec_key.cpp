#include "adapters/attestation/ec_key.hpp"

#include <openssl/evp.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace builder::adapters::attestation {

bool is_on_p256(const EVP_PKEY* key) {
  std::array<char, 32> group{};
  std::size_t length = 0;
  return EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group.data(), group.size(), &length) == 1 &&
         std::string_view(group.data(), length) == "prime256v1";
}

}  // namespace builder::adapters::attestation
