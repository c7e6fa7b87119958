#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::http {

enum class Method { get, head, post, put, delete_ };

std::string_view to_string(Method method);

struct Header {
  std::string name;
  std::string value;
};

struct Request {
  Method method = Method::get;
  std::string url;
  std::string unix_socket;  ///< Path of the socket to talk through; empty: TCP to the URL's host.
  std::vector<Header> headers;
  std::string body;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds timeout{15'000};  ///< The whole exchange; zero: only the deadline.
  std::chrono::milliseconds idle_timeout{0};  ///< Longest silence of the peer; zero: any.
  std::size_t max_body = 4U << 20U;           ///< A longer body is an error.
  bool direct = false;                        ///< Never through a proxy.
  std::string pinned;  ///< `host:port:address,…`: the only addresses to connect to; empty: any.
  /// Gets the body of a 2xx answer as it comes, instead of `Response::body`; false ends the
  /// exchange with an error. Not subject to `max_body`.
  std::function<bool(std::string_view)> on_body = {};
  /// Of POST, in place of `body`: fills the front of the buffer with what comes next, 0 at the end;
  /// nullopt ends the exchange with an error. `body_size` bytes in all.
  std::function<std::optional<std::size_t>(std::span<char>)> body_source = {};
  std::uint64_t body_size = 0;
  /// Asked when the connection stands and the request is about to go out; false ends the exchange
  /// with `conflict`, and nothing was sent. Empty: it may.
  std::function<bool()> may_send = {};
};

struct Response {
  int status = 0;
  std::vector<Header> headers;
  std::string body;

  [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }

  /// The first header of that name, in any case; nullopt when there is none.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;
  /// The wait the peer asks for with `Retry-After`, as seconds or as a date; at most a minute.
  [[nodiscard]] std::optional<std::chrono::milliseconds> retry_after(
      std::chrono::system_clock::time_point now = std::chrono::system_clock::now()) const;
};

/// A date as HTTP writes it ("Sun, 06 Nov 1994 08:49:37 GMT", and the two obsolete forms).
std::optional<std::chrono::system_clock::time_point> parse_http_date(std::string_view text);

/// The value of a Retry-After header, at most a minute; nullopt when it is neither form.
std::optional<std::chrono::milliseconds> parse_retry_after(
    std::string_view value, std::chrono::system_clock::time_point now);

/// As the names of headers are compared.
bool equal_ignoring_case(std::string_view a, std::string_view b);

/// Percent-encodes everything but the unreserved characters of RFC 3986 and those in `keep`.
std::string percent_encode(std::string_view text, std::string_view keep = {});

/// "a%40b" -> "a@b"; what is no escape stays.
std::string percent_decode(std::string_view text);

/// A URL for log lines: without user, password, query and fragment.
std::string without_secrets(std::string_view url);

}  // namespace builder::adapters::http
