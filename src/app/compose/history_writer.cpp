#include "app/compose/history_writer.hpp"

#include "adapters/history/history.hpp"

namespace builder::app {

std::unique_ptr<ports::BuildHistory> make_history_writer(const Config& config,
                                                         ports::Metrics& metrics, const Log& log) {
  return config.history.keep.bytes == 0
             ? nullptr
             : adapters::history::make_history(config.history, metrics, log);
}

}  // namespace builder::app
