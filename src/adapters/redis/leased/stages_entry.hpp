#pragma once

#include "domain/stages.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::redis {

/// Stages as they lie in Redis: a JSON object of the fields that are set.
std::string write_stages(const domain::Stages& stages);
/// What cannot be read, or is no commit or digest, counts as not done.
domain::Stages read_stages(std::string_view text);

}  // namespace builder::adapters::redis
