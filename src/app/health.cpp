#include "app/health.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace builder::app {

namespace {

constexpr std::chrono::milliseconds k_interval{5'000};
/// While something is away, it is asked more often; at the start, when connections are only being
/// made, most often.
constexpr std::chrono::milliseconds k_first_interval{5};
constexpr std::chrono::milliseconds k_eager_interval{500};

}  // namespace

HealthMonitor::HealthMonitor(std::vector<HealthCheck> checks, pipeline::Metrics& metrics, Log log,
                             std::function<void()> on_first_ready)
    : checks_(std::move(checks)),
      metrics_(metrics),
      log_(std::move(log)),
      on_first_ready_(std::move(on_first_ready)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {
}

void HealthMonitor::run(const std::stop_token& stop) {
  // "Not told anything yet" equals no set of problems.
  std::optional<std::map<std::string, std::string>> told;
  bool ever_ready = false;
  std::chrono::milliseconds eager = k_first_interval;
  while (!stop.stop_requested()) {
    std::map<std::string, std::string> problems;
    for (const HealthCheck& check : checks_) {
      if (const auto probed = check.probe(stop); !probed) {
        problems[check.name] = probed.error().message;
      }
    }
    if (stop.stop_requested()) {
      return;
    }
    const bool ready = problems.empty();
    if ((ready || eager >= k_eager_interval) && told != problems) {
      told = problems;
      for (const auto& [name, problem] : problems) {
        log_.warning("not ready: {}: {}", name, problem);
      }
      if (ready) {
        log_.info("ready");
      }
    }
    state_.lock()->problems = std::move(problems);
    metrics_.set_ready(reasons().empty());
    if (ready && !ever_ready) {
      ever_ready = true;
      on_first_ready_();
    }
    sleep_for(ready ? k_interval : eager, stop);
    eager = std::min(eager * 2, k_eager_interval);
  }
}

std::vector<std::string> HealthMonitor::reasons() {
  std::vector<std::string> reasons;
  auto state = state_.lock();
  if (state->draining) {
    reasons.emplace_back("draining: the worker is stopping");
  }
  for (const auto& [name, problem] : state->problems) {
    reasons.push_back(name + ": " + problem);
  }
  return reasons;
}

void HealthMonitor::set_draining() {
  state_.lock()->draining = true;
  metrics_.set_ready(false);
}

}  // namespace builder::app
