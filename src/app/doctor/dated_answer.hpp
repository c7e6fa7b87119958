#pragma once

#include "adapters/http/client.hpp"
#include "app/doctor/checks.hpp"

#include <string>
#include <string_view>

namespace builder::app {

/// Compares this machine's clock with that of whoever answers at `url`, by the Date header of
/// whatever it answers. Says nothing when there is none.
void compare_dates(const Circumstances& now, adapters::http::Client& http, std::string_view whose,
                   const std::string& url, Report& report);

}  // namespace builder::app
