#include "adapters/oci/push_fault.hpp"

#include "base/ascii.hpp"

#include <algorithm>
#include <initializer_list>

namespace builder::adapters::oci {
namespace {

bool contains_any(std::string_view text, std::initializer_list<std::string_view> needles) {
  return std::ranges::any_of(needles,
                             [&](std::string_view needle) { return text.contains(needle); });
}

}  // namespace

PushFault classify_push_error(std::string_view text) {
  const std::string words = lower_case(text);
  if (contains_any(words, {"name unknown", "name_unknown"}) ||
      // BuildKit leaves out ECR's code.
      (words.contains("the repository with name") && words.contains("does not exist"))) {
    return PushFault::repository_missing;
  }
  // The last is an Engine's whose image went while it began to push: another service made the same
  // image, and its name was the last one when it was removed.
  if (contains_any(words, {"does not exist locally", "no such image",
                           "tag does not exist:", "could not find image from tag"})) {
    return PushFault::image_missing;
  }
  if (contains_any(words, {"tag invalid", "tag_invalid", "imagetagalreadyexists"}) &&
      contains_any(words, {"immutable", "already exists"})) {
    return PushFault::tag_immutable;
  }
  if (contains_any(words, {"authorization token has expired", "reauthenticate"})) {
    return PushFault::token_expired;
  }
  if (contains_any(words, {"toomanyrequests", "too many requests", "rate exceeded", "throttl",
                           "status: 429", "status code 429"})) {
    return PushFault::registry_busy;
  }
  if (contains_any(words, {"unauthorized", "no basic auth credentials", "status: 401",
                           "status code 401", "authentication required"})) {
    return PushFault::unauthorized;
  }
  // Before "denied": what stands between us and the registry may deny as well.
  if (contains_any(words, {"403 forbidden", "status: 403", "status code 403", "http 403"}) &&
      !contains_any(words, {"denied:", "not authorized"})) {
    return PushFault::forbidden;
  }
  if (contains_any(words, {"denied", "not authorized", "forbidden"})) {
    return PushFault::denied;
  }
  if (contains_any(words, {"x509:", "tls: failed to verify", "certificate signed by unknown",
                           "server gave http response to https client", "tls: unrecognized name",
                           "first record does not look like a tls handshake"})) {
    return PushFault::foreign;
  }
  if (words.starts_with("unknown:") || contains_any(words, {"connection refused",
                                                            "connection reset",
                                                            "connection timed out",
                                                            "connection lost",
                                                            "closed network connection",
                                                            "server closed idle connection",
                                                            "goaway",
                                                            "stream error",
                                                            "http2: ",
                                                            "try again",
                                                            "host is down",
                                                            "request timeout",
                                                            "status: 408",
                                                            "status code 408",
                                                            "408 request",
                                                            "transport is closing",
                                                            "no such host",
                                                            "i/o timeout",
                                                            "tls handshake timeout",
                                                            "timeout exceeded",
                                                            "deadline exceeded",
                                                            "unexpected eof",
                                                            ": eof",
                                                            "broken pipe",
                                                            "no route to host",
                                                            "network is unreachable",
                                                            "temporary failure",
                                                            "server misbehaving",
                                                            "bad gateway",
                                                            "unavailable",
                                                            "gateway timeout",
                                                            "internal server error",
                                                            "retries exceeded",
                                                            "blob upload unknown",
                                                            "blob upload invalid",
                                                            "http status: 5",
                                                            "status code 5",
                                                            "connection broken",
                                                            ": 500 ",
                                                            ": 502 ",
                                                            ": 503 ",
                                                            ": 504 "})) {
    return PushFault::registry_away;
  }
  // A registry has words for its 404; a bare 400 may be its own all the same.
  if (words.contains("invalid character '<'") ||
      (contains_any(words, {"unexpected status", "unexpected http status", "error parsing http"}) &&
       contains_any(words,
                    {"404", "405", " 200 ok", " 301 ", " 302 ", " 303 ", " 307 ", " 308 "}))) {
    return PushFault::stranger;
  }
  return PushFault::other;
}

Error push_error(PushFault fault, std::string message) {
  constexpr std::string_view k_refused =
      "The image registry refused the push (configuration of the platform, not of your project); "
      "please contact the operator";
  constexpr std::string_view k_away =
      "The image registry did not answer as it should (no fault of your project); please deploy "
      "again in a few minutes";
  const auto make = [&message](ErrorKind kind, std::string_view customer) {
    return Error{.kind = kind, .message = std::move(message), .customer = std::string(customer)};
  };
  switch (fault) {
    case PushFault::unauthorized:
    case PushFault::token_expired:
    case PushFault::denied:
      return make(ErrorKind::denied, k_refused).for_operator(k_registry_setting);
    case PushFault::foreign:
      return make(ErrorKind::denied, k_away).for_operator(k_place_setting);
    case PushFault::tag_immutable:
      return make(ErrorKind::conflict, k_refused);
    case PushFault::repository_missing:
    case PushFault::registry_busy:
    case PushFault::registry_away:
    case PushFault::forbidden:
    case PushFault::stranger:
    case PushFault::engine:
      return make(ErrorKind::unavailable, k_away);
    case PushFault::image_missing:
      return make(ErrorKind::not_found, "");
    case PushFault::other:
    case PushFault::none:
      break;
  }
  return make(ErrorKind::internal, k_refused);
}

Error for_customer(Error error) {
  constexpr std::string_view k_operators_matter =
      "The image registry refused the image; this is the platform's configuration, not your "
      "project: please contact the operator";
  if (error.customer.empty() && error.kind != ErrorKind::cancelled) {
    error.customer =
        error.is_transient()
            ? "The image registry could not be reached; please deploy again in a few minutes"
            : std::string(k_operators_matter);
  }
  return error;
}

}  // namespace builder::adapters::oci
