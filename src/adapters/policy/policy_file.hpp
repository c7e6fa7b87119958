#pragma once

#include "adapters/policy/policy.hpp"
#include "base/result.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace builder::adapters::policy {

/// The text of a key's file, by its name in the policy.
using KeyReader = std::function<Result<std::string>(const std::string& name)>;

/// TOML; docs/policy.md describes it. `invalid_input` names the line and what is wrong there.
Result<Policy> parse_policy(std::string_view text, const KeyReader& read_key);

/// The same of a file. Names of keys are relative to its folder.
Result<Policy> read_policy(const std::string& path);

}  // namespace builder::adapters::policy
