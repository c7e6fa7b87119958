#include "app/health/health.hpp"

#include "domain/operator_line.hpp"

#include <algorithm>
#include <utility>

namespace builder::app {

namespace {

constexpr std::chrono::milliseconds k_interval{5'000};
/// While something is away, it is asked more often; at the start, when connections are only being
/// made, most often.
constexpr std::chrono::milliseconds k_first_interval{5};
constexpr std::chrono::milliseconds k_eager_interval{500};
/// What is away only while everything starts is worth no line.
constexpr std::chrono::milliseconds k_patience{600};

using Clock = std::chrono::steady_clock;

}  // namespace

HealthMonitor::HealthMonitor(std::vector<HealthCheck> checks, ports::Metrics& metrics, Log log,
                             std::function<void()> on_first_ready)
    : checks_(std::move(checks)),
      metrics_(metrics),
      log_(std::move(log)),
      on_first_ready_(std::move(on_first_ready)),
      thread_([this](const std::stop_token& stop) { run(stop); }) {
}

void HealthMonitor::run(const std::stop_token& stop) {
  Problems told;
  bool was_ready = false;
  bool ever_started = false;
  const auto tell_from = Clock::now() + k_patience;
  std::chrono::milliseconds eager = k_first_interval;
  while (!stop.stop_requested()) {
    Problems problems;
    bool started = true;
    for (const HealthCheck& check : checks_) {
      const auto probed = check.probe(stop);
      if (stop.stop_requested()) {
        return;
      }
      if (!probed) {
        problems[check.name] = domain::operator_line(probed.error());
        started = started && check.is_asked_for;
      }
      // At once: the next may take its time to be silent.
      if (probed || Clock::now() >= tell_from) {
        tell(check.name, probed ? std::string() : problems[check.name], told);
      }
    }
    const bool ready = problems.empty();
    if (ready && !was_ready) {
      log_.info("ready");
    }
    was_ready = ready;
    state_.lock()->problems = std::move(problems);
    metrics_.set_ready(reasons().empty());
    if (started && !ever_started) {
      ever_started = true;
      on_first_ready_();
    }
    sleep_for(ready ? k_interval : eager, stop);
    eager = std::min(eager * 2, k_eager_interval);
  }
}

void HealthMonitor::tell(const std::string& name, const std::string& problem,
                         Problems& told) const {
  const auto known = told.find(name);
  if (problem.empty() && known != told.end()) {
    log_.info("{}: well again", name);
    told.erase(known);
  } else if (!problem.empty() && (known == told.end() || known->second != problem)) {
    log_.warning("not ready: {}: {}", name, problem);
    told[name] = problem;
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
