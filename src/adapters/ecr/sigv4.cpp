#include "adapters/ecr/sigv4.hpp"

#include "base/ascii.hpp"
#include "base/check.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <tuple>

namespace builder::adapters::ecr {
namespace {

using Digest = std::array<unsigned char, 32>;

std::string hex(const Digest& digest) {
  std::string text;
  for (const unsigned char byte : digest) {
    text += fmt::format("{:02x}", byte);
  }
  return text;
}

std::string sha256_hex(std::string_view data) {
  Digest digest{};
  BUILDER_CHECK(
      ::EVP_Digest(data.data(), data.size(), digest.data(), nullptr, ::EVP_sha256(), nullptr) == 1);
  return hex(digest);
}

Digest hmac(std::string_view key, std::string_view data) {
  Digest digest{};
  BUILDER_CHECK(::EVP_Q_mac(nullptr, "HMAC", nullptr, "SHA256", nullptr, key.data(), key.size(),
                            reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                            digest.data(), digest.size(), nullptr) != nullptr);
  return digest;
}

std::string_view view(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// Lower-case names, values trimmed with single blanks, sorted, equal names joined by commas.
std::vector<http::Header> canonical_headers(const std::vector<http::Header>& headers) {
  std::vector<http::Header> result;
  for (const http::Header& header : headers) {
    std::string name = lower_case(header.name);
    std::string value;
    for (const char c : header.value) {
      const char blank = c == '\t' ? ' ' : c;
      if (blank != ' ' || (!value.empty() && value.back() != ' ')) {
        value += blank;
      }
    }
    if (value.ends_with(' ')) {
      value.pop_back();
    }
    const auto same = std::ranges::find(result, name, &http::Header::name);
    if (same != result.end()) {
      same->value += "," + value;
    } else {
      result.push_back({.name = std::move(name), .value = std::move(value)});
    }
  }
  std::ranges::sort(result, {}, &http::Header::name);
  return result;
}

std::string canonical_query(std::vector<http::Header> query) {
  std::ranges::sort(query, [](const http::Header& a, const http::Header& b) {
    return std::tie(a.name, a.value) < std::tie(b.name, b.value);
  });
  std::string result;
  for (const http::Header& part : query) {
    result += fmt::format("{}{}={}", result.empty() ? "" : "&", part.name, part.value);
  }
  return result;
}

}  // namespace

std::vector<http::Header> sign(const SignableRequest& request, const SigningKey& key,
                               const std::string& region, const std::string& service,
                               std::chrono::system_clock::time_point now) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
  const std::string stamp = fmt::format("{:%Y%m%dT%H%M%SZ}", fmt::gmtime(seconds));
  const std::string date = stamp.substr(0, 8);

  std::vector<http::Header> added{{.name = "X-Amz-Date", .value = stamp}};
  if (!key.session_token.empty()) {
    added.push_back({.name = "X-Amz-Security-Token", .value = key.session_token.reveal()});
  }
  std::vector<http::Header> all = request.headers;
  all.insert(all.end(), added.begin(), added.end());

  std::string headers;
  std::string names;
  for (const http::Header& header : canonical_headers(all)) {
    headers += fmt::format("{}:{}\n", header.name, header.value);
    names += (names.empty() ? "" : ";") + header.name;
  }
  const std::string canonical =
      fmt::format("{}\n{}\n{}\n{}\n{}\n{}", request.method, request.path,
                  canonical_query(request.query), headers, names, sha256_hex(request.body));
  const std::string scope = fmt::format("{}/{}/{}/aws4_request", date, region, service);
  const std::string to_sign =
      fmt::format("AWS4-HMAC-SHA256\n{}\n{}\n{}", stamp, scope, sha256_hex(canonical));

  const Secret first("AWS4" + key.secret_access_key.reveal());
  const Digest signing_key = hmac(
      view(hmac(view(hmac(view(hmac(first.reveal(), date)), region)), service)), "aws4_request");
  added.push_back({.name = "Authorization",
                   .value = fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, "
                                        "Signature={}",
                                        key.access_key_id, scope, names,
                                        hex(hmac(view(signing_key), to_sign)))});
  return added;
}

}  // namespace builder::adapters::ecr
