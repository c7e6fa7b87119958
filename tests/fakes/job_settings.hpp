#pragma once

#include "work/run_contract.hpp"

#include <chrono>

namespace builder::fakes {

/// What an operator may have set, without pauses.
inline work::JobSettings quick_job_settings() {
  work::JobSettings settings;
  settings.steps.github_url = "https://github.com";
  settings.steps.fetch_timeout = std::chrono::minutes(10);
  settings.build_timeout = std::chrono::minutes(30);
  settings.silence_timeout = std::chrono::minutes(10);
  settings.keep_images = 1;
  settings.repeat_backoff = {.base = std::chrono::milliseconds(1),
                             .cap = std::chrono::milliseconds(1)};
  settings.channel.linger = std::chrono::milliseconds(1);
  return settings;
}

}  // namespace builder::fakes
