#pragma once

#include "app/config/config.hpp"
#include "app/doctor/examination.hpp"
#include "app/doctor/report.hpp"
#include "base/stop.hpp"

#include <chrono>
#include <string_view>

namespace builder::app {

/// One peer each. They return soon after `Circumstances::stop`.
void check_redis(const Circumstances& now, Report& report);
void check_engine(const Circumstances& now, Report& report);
void check_platform(const Circumstances& now, Report& report);
/// AWS and the registry: the one gives the token for the other.
void check_registry(const Circumstances& now, Report& report);
void check_git(const Circumstances& now, Report& report);
void check_host(const Circumstances& now, Report& report);
void check_service(const Circumstances& now, Report& report);

/// What of this machine asks no peer: limits that are too low for this configuration. `serve` says
/// it at its start.
void check_limits(const Config& config, Report& report);

/// Compares the clock of this machine with another's, as it was between two moments here.
void compare_clocks(Report& report, std::string_view whose,
                    std::chrono::system_clock::time_point theirs,
                    std::chrono::system_clock::time_point asked,
                    std::chrono::system_clock::time_point answered);

}  // namespace builder::app
