#include "adapters/http/message.hpp"

#include "base/wall_clock.hpp"

#include <curl/curl.h>

#include <strings.h>

#include <algorithm>
#include <cctype>
#include <charconv>

namespace builder::adapters::http {
namespace {

/// Whoever asks for more is asked again meanwhile: a job must not stand still for a slip of a peer.
constexpr std::chrono::seconds k_longest_retry_after = std::chrono::minutes(1);

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view to_string(Method method) {
  switch (method) {
    case Method::get:
      return "GET";
    case Method::head:
      return "HEAD";
    case Method::post:
      return "POST";
    case Method::put:
      return "PUT";
    case Method::delete_:
      return "DELETE";
  }
  return "GET";
}

std::optional<std::string_view> Response::header(std::string_view name) const {
  const auto found = std::ranges::find_if(
      headers, [&](const Header& header) { return equal_ignoring_case(header.name, name); });
  if (found == headers.end()) {
    return std::nullopt;
  }
  return found->value;
}

std::optional<std::chrono::milliseconds> Response::retry_after(
    std::chrono::system_clock::time_point now) const {
  const auto value = header("Retry-After");
  return value ? parse_retry_after(*value, now) : std::nullopt;
}

std::optional<std::chrono::system_clock::time_point> parse_http_date(std::string_view text) {
  return wall_clock(::curl_getdate(std::string(text).c_str(), nullptr));
}

std::optional<std::chrono::milliseconds> parse_retry_after(
    std::string_view value, std::chrono::system_clock::time_point now) {
  using std::chrono::milliseconds;
  long long seconds = 0;
  const char* const end = value.data() + value.size();
  const auto [rest, code] = std::from_chars(value.data(), end, seconds);
  if (rest == end && !value.empty()) {
    if (code == std::errc::result_out_of_range) {
      return k_longest_retry_after;
    }
    if (seconds < 0) {
      return std::nullopt;
    }
    return std::chrono::seconds(std::min<long long>(seconds, k_longest_retry_after.count()));
  }
  const auto date = parse_http_date(value);
  if (!date) {
    return std::nullopt;
  }
  return std::clamp<milliseconds>(std::chrono::duration_cast<milliseconds>(*date - now),
                                  milliseconds(0), k_longest_retry_after);
}

std::string percent_encode(std::string_view text, std::string_view keep) {
  constexpr std::string_view k_hex = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(text.size());
  for (const char c : text) {
    if (is_unreserved(c) || keep.contains(c)) {
      encoded += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded += '%';
      encoded += k_hex[byte >> 4U];
      encoded += k_hex[byte & 0xFU];
    }
  }
  return encoded;
}

std::string percent_decode(std::string_view text) {
  const auto digit = [](char c) {
    return std::string_view("0123456789abcdef")
        .find(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
  };
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) < 16 &&
        digit(text[i + 2]) < 16) {
      decoded += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

std::string without_secrets(std::string_view url) {
  std::string_view rest = url.substr(0, url.find_first_of("?#"));
  std::string scheme;
  if (const auto mark = rest.find("://"); mark != std::string_view::npos) {
    scheme = rest.substr(0, mark + 3);
    rest.remove_prefix(mark + 3);
  }
  const auto authority = rest.substr(0, rest.find('/'));
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    rest.remove_prefix(at + 1);
  }
  return scheme + std::string(rest);
}

}  // namespace builder::adapters::http
