#include "app/compose/history_parts.hpp"

#include "adapters/history/history.hpp"
#include "base/keyed_hash.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace builder::app {

namespace {

bool is_wildcard(std::string_view host) {
  constexpr std::array<std::string_view, 3> k_wildcards{"0.0.0.0", "[::]", "[::0]"};
  return std::ranges::find(k_wildcards, host) != k_wildcards.end();
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host.starts_with("127.") || host == "[::1]";
}

}  // namespace

Result<std::unique_ptr<ports::HistoryReader>> open_local_history(const Config& config) {
  return adapters::history::open_history(config.history.folder);
}

std::string history_proof(const Secret& token, const std::string& url) {
  return hmac_sha256_hex(token.reveal(), "deployra-builder history address\n" + url);
}

bool is_proven(const Secret& token, const std::string& url, std::string_view proof) {
  const std::string expected = history_proof(token, url);
  return proof.size() == expected.size() &&
         CRYPTO_memcmp(proof.data(), expected.data(), expected.size()) == 0;
}

AnnouncedHistory announced_history(const Config& config, const std::string& host) {
  if (config.history.keep.bytes == 0) {
    return {.url = {}, .why_none = "its HISTORY_KEEP is 0"};
  }
  if (config.history_token.empty()) {
    return {.url = {}, .why_none = "its HISTORY_TOKEN is not set"};
  }
  if (config.http_listen.empty()) {
    return {.url = {}, .why_none = "its HTTP_LISTEN is not set"};
  }
  if (!config.history_address.empty()) {
    return {.url = config.history_address, .why_none = {}};
  }
  const std::size_t colon = config.http_listen.rfind(':');
  const std::string listen_host = config.http_listen.substr(0, colon);
  const std::string port = config.http_listen.substr(colon);
  if (is_loopback(listen_host) || port == ":0") {
    return {.url = {}, .why_none = "its HTTP_LISTEN is for itself, and HISTORY_ADDRESS not set"};
  }
  return {.url = "http://" + (is_wildcard(listen_host) ? host : listen_host) + port,
          .why_none = {}};
}

}  // namespace builder::app
