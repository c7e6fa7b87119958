#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace builder::adapters::docker {

/// Why a push failed, as far as the caller can do something about it.
enum class PushFault {
  none,
  repository_missing,  ///< Create it and push again.
  token_expired,       ///< Fetch a new token and push again.
  unauthorized,        ///< The credentials are wrong; a forced new token may help once.
  denied,              ///< The identity may not push.
  tag_immutable,       ///< The tag exists and the repository forbids to move it.
  image_missing,       ///< The Engine does not have the image (any more).
  registry_busy,       ///< Throttled: push again later; finished layers are kept.
  registry_away,       ///< Refused, reset, 5xx, time-out: push again later.
  engine,              ///< The Engine failed or was lost.
  other,
};

/// Reads the text of an `errorDetail`, which carries the registry's code before its first colon.
PushFault classify_push_error(std::string_view text);

/// The error of a fault, with the line for the customer where one is due.
Error push_error(PushFault fault, std::string message);

/// Collects the records of one push.
class PushStream {
 public:
  /// One line of the answer; what is no JSON object is skipped.
  void take(std::string_view line);

  [[nodiscard]] const std::string& digest() const { return digest_; }

  [[nodiscard]] const std::string& error() const { return error_; }

  [[nodiscard]] std::uint64_t bytes_pushed() const;

  /// HTTP 200 says nothing: only a digest without an error is a success.
  [[nodiscard]] bool succeeded() const { return error_.empty() && !digest_.empty(); }

 private:
  std::string digest_;
  std::string error_;
  std::unordered_map<std::string, std::uint64_t> layers_;
};

}  // namespace builder::adapters::docker
