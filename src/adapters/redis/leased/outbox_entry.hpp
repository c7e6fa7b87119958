#pragma once

#include "base/result.hpp"
#include "ports/job_queue.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::redis {

/// An end as it lies in Redis: JSON with `status`, and either what is posted or the `reason` a
/// script gave.
std::string write_entry(const ports::StatusUpdate& update);
std::string write_entry(const ports::Ending& ending);
Result<ports::Ending> read_entry(std::string_view text);

}  // namespace builder::adapters::redis
