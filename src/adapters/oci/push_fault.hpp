#pragma once

#include "base/result.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::oci {

/// Where the operator looks when the registry refuses us.
inline constexpr std::string_view k_registry_setting = "AWS_ACCESS_KEY_ID";

/// Where the operator looks when something else answers in the registry's place.
inline constexpr std::string_view k_place_setting = "AWS_REGION";

/// Why a registry did not take an image, as far as the caller can do something about it.
enum class PushFault {
  none,                ///< Not a matter of the registry: the error stands as it is.
  repository_missing,  ///< Create it and push again.
  token_expired,       ///< Fetch a new token and push again.
  unauthorized,        ///< The credentials are wrong; a forced new token may help once.
  denied,              ///< The identity may not push.
  forbidden,           ///< 403 without the registry's words: an expired token, or not the registry.
  foreign,             ///< No registry of ours is there: its certificate or its protocol is wrong.
  stranger,            ///< A page, a redirect, a bare 404: something answered in its place.
  tag_immutable,       ///< The tag exists and the repository forbids to move it.
  image_missing,       ///< The engine does not have the image (any more).
  registry_busy,       ///< Throttled: push again later; finished layers are kept.
  registry_away,       ///< Refused, reset, 5xx, time-out: push again later.
  engine,              ///< The engine failed or was lost while it pushed.
  other,
};

/// Reads the text of an engine or a registry, which carries the registry's code and words.
PushFault classify_push_error(std::string_view text);

/// The error of a fault, with the line for the customer where one is due, and the operator's
/// setting where the registry refuses us and not the image.
Error push_error(PushFault fault, std::string message);

/// The same failure of a registry's doing, with the customer's line where none is set yet: either
/// it passes, or only the operator can mend it.
Error for_customer(Error error);

struct PushFailure {
  PushFault fault = PushFault::other;
  Error error;
};

}  // namespace builder::adapters::oci
