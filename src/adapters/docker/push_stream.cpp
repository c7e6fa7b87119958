#include "adapters/docker/push_stream.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <initializer_list>
#include <numeric>

namespace builder::adapters::docker {
namespace {

using nlohmann::json;

std::string lower(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

bool contains_any(std::string_view text, std::initializer_list<std::string_view> needles) {
  return std::ranges::any_of(needles,
                             [&](std::string_view needle) { return text.contains(needle); });
}

std::string string_field(const json& object, const char* name) {
  const auto field = object.find(name);
  return field != object.end() && field->is_string() ? field->get<std::string>() : std::string();
}

std::uint64_t number_field(const json& object, const char* name) {
  const auto field = object.find(name);
  if (field == object.end() || !field->is_number_integer() || field->get<std::int64_t>() < 0) {
    return 0;
  }
  return field->get<std::uint64_t>();
}

}  // namespace

PushFault classify_push_error(std::string_view text) {
  const std::string words = lower(text);
  if (contains_any(words, {"name unknown", "name_unknown"})) {
    return PushFault::repository_missing;
  }
  if (words.contains("does not exist locally") || words.contains("no such image")) {
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
  if (contains_any(words, {"denied", "not authorized", "forbidden", "status: 403"})) {
    return PushFault::denied;
  }
  if (words.starts_with("unknown:") ||
      contains_any(words, {"connection refused", "connection reset",      "no such host",
                           "i/o timeout",        "tls handshake timeout", "timeout exceeded",
                           "deadline exceeded",  "unexpected eof",        ": eof",
                           "broken pipe",        "no route to host",      "network is unreachable",
                           "temporary failure",  "server misbehaving",    "bad gateway",
                           "unavailable",        "gateway timeout",       "internal server error",
                           "retries exceeded",   "blob upload unknown",   "blob upload invalid",
                           "http status: 5",     "status code 5"})) {
    return PushFault::registry_away;
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
      return make(ErrorKind::denied, k_refused);
    case PushFault::tag_immutable:
      return make(ErrorKind::conflict, k_refused);
    case PushFault::repository_missing:
    case PushFault::registry_busy:
    case PushFault::registry_away:
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

void PushStream::take(std::string_view line) {
  const auto record = json::parse(line, nullptr, false);
  if (!record.is_object()) {
    return;
  }
  if (const auto detail = record.find("errorDetail");
      detail != record.end() && detail->is_object()) {
    error_ = string_field(*detail, "message");
  }
  if (error_.empty()) {
    error_ = string_field(record, "error");
  }
  if (const auto aux = record.find("aux"); aux != record.end() && aux->is_object()) {
    if (std::string digest = string_field(*aux, "Digest"); !digest.empty()) {
      digest_ = std::move(digest);
    }
  }
  const std::string layer = string_field(record, "id");
  const auto progress = record.find("progressDetail");
  if (layer.empty() || progress == record.end() || !progress->is_object() ||
      string_field(record, "status") != "Pushing") {
    return;
  }
  // The Engine may count beyond the total (archive padding).
  const std::uint64_t total = number_field(*progress, "total");
  std::uint64_t current = number_field(*progress, "current");
  if (total > 0) {
    current = std::min(current, total);
  }
  auto& known = layers_[layer];
  known = std::max(known, current);
}

std::uint64_t PushStream::bytes_pushed() const {
  return std::accumulate(layers_.begin(), layers_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& layer) { return sum + layer.second; });
}

}  // namespace builder::adapters::docker
