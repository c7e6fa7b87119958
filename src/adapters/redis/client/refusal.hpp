#pragma once

#include "base/result.hpp"

#include <string_view>

namespace builder::adapters::redis {

/// What an error answer of Redis means for us.
struct Refusal {
  ErrorKind kind = ErrorKind::internal;
  /// Another server may be the master by now: connect anew, which asks for its address again.
  bool changed_role = false;
};

/// Sorts an error answer by its code: the first word, or, where a server before 7.0 wraps what a
/// command in a script met ("ERR Error running script (call to f_…): @user_script:7: @user_script:
/// 7: -READONLY …"), the first word of that.
Refusal read_refusal(std::string_view text);

}  // namespace builder::adapters::redis
