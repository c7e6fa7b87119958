#pragma once

#include "domain/checkpoint.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::redis {

/// A checkpoint as it lies in Redis: a JSON object of the fields that are set.
std::string write_checkpoint(const domain::Checkpoint& checkpoint);
/// What cannot be read, or is no commit or digest, counts as not done.
domain::Checkpoint read_checkpoint(std::string_view text);

}  // namespace builder::adapters::redis
