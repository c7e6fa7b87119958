#pragma once

#include "base/result.hpp"

#include <string>

namespace builder::domain {

/// The operator's line: what happened, and the setting to look at.
inline std::string operator_line(const Error& error) {
  return error.setting.empty() || error.message.contains(error.setting)
             ? error.message
             : error.message + " (look at " + error.setting + ")";
}

}  // namespace builder::domain
