#include "adapters/docker/registry_auth.hpp"

#include <nlohmann/json.hpp>

#include <cstdint>

namespace builder::adapters::docker {

std::string base64_url(std::string_view bytes) {
  constexpr std::string_view k_alphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string encoded;
  encoded.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t taken = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = (group << 8U) | (k < taken ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      encoded += k <= taken ? k_alphabet[(group >> (18U - 6U * k)) & 0x3FU] : '=';
    }
  }
  return encoded;
}

Secret registry_auth_header(const ports::RegistryLogin& login) {
  const nlohmann::json fields{{"username", login.username}, {"password", login.password.reveal()}};
  const Secret text(fields.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  return Secret(base64_url(text.reveal()));
}

}  // namespace builder::adapters::docker
