#include "adapters/ecr/sigv4.hpp"

#include "base/ascii.hpp"
#include "base/keyed_hash.hpp"
#include "base/text.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <ctime>
#include <tuple>

namespace builder::adapters::ecr {
namespace {

using Digest = std::array<std::uint8_t, 32>;

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
  const Digest signing_key =
      hmac_sha256(view(hmac_sha256(
                      view(hmac_sha256(view(hmac_sha256(first.reveal(), date)), region)), service)),
                  "aws4_request");
  added.push_back({.name = "Authorization",
                   .value = fmt::format("AWS4-HMAC-SHA256 Credential={}/{}, SignedHeaders={}, "
                                        "Signature={}",
                                        key.access_key_id, scope, names,
                                        hex(view(hmac_sha256(view(signing_key), to_sign))))});
  return added;
}

}  // namespace builder::adapters::ecr
