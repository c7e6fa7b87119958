#pragma once

#include "app/config/config.hpp"
#include "base/result.hpp"

#include <string>
#include <vector>

namespace builder::app {

/// Makes the parts of a worker (`app/compose`) and runs it until a signal has drained it. Fails
/// when it cannot start. `is_log_coloured`: a person reads stderr on a terminal with colours.
Result<> run_service(const Config& config, const std::vector<std::string>& warnings,
                     bool is_log_coloured);

}  // namespace builder::app
