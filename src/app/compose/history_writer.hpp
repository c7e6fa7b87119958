#pragma once

#include "app/config/config.hpp"
#include "base/log.hpp"
#include "ports/build_history.hpp"
#include "ports/metrics.hpp"

#include <memory>

namespace builder::app {

/// What a worker writes its builds into; null: HISTORY_KEEP says that none is kept. `metrics`
/// outlives it. No failure: a history that cannot be written is said in the log.
std::unique_ptr<ports::BuildHistory> make_history_writer(const Config& config,
                                                         ports::Metrics& metrics, const Log& log);

}  // namespace builder::app
