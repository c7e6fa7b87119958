#pragma once

#include "app/config.hpp"
#include "base/result.hpp"

#include <string>
#include <vector>

namespace builder::app {

/// Wires the adapters to the pipeline and runs until a signal has drained it. The only place that
/// names concrete classes. Fails when it cannot start.
Result<> run_service(const Config& config, const std::vector<std::string>& warnings);

}  // namespace builder::app
