#pragma once

#include "adapters/http/message.hpp"
#include "base/result.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::ecr {

/// What to do about an error code of the API.
enum class Remedy {
  none,               ///< A fault of configuration or of the request: fail at once.
  retry,              ///< Try again soon.
  slow_down,          ///< Try again with the long back-off of throttling.
  renew_credentials,  ///< Drop the cached credentials and try once more.
  correct_clock,      ///< Try once more when the peer's clock differs from what was signed.
};

/// An error in the shape of AWS, which always names a code; whatever else answers says nothing
/// about keys or repositories.
bool is_aws(const http::Response& response);

/// The error's code: after the last `#` of `__type`, or from `x-amzn-errortype`; the HTTP status as
/// text when the body has none.
std::string error_code(const http::Response& response);

/// The service's own words, cut to a line's length.
std::string error_message(const http::Response& response);

/// By code and not by status, since service exceptions arrive as 400.
Remedy remedy_for(std::string_view code, int status);

ErrorKind kind_for(std::string_view code, int status);

}  // namespace builder::adapters::ecr
