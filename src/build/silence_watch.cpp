#include "build/silence_watch.hpp"

#include <utility>
#include <variant>

namespace builder::build {

using Clock = std::chrono::steady_clock;

SilenceWatch::SilenceWatch(domain::EventSink& events, std::chrono::milliseconds limit,
                           std::function<bool()> computes,
                           std::function<void(const std::string&)> on_silence)
    : events_(events),
      limit_(limit),
      computes_(std::move(computes)),
      on_silence_(std::move(on_silence)) {
}

void SilenceWatch::emit(domain::BuildEvent event) {
  {
    const std::scoped_lock lock(mutex_);
    last_ = Clock::now();
    if (const auto* started = std::get_if<domain::StepStarted>(&event)) {
      step_ = started->name;
    }
  }
  events_.emit(std::move(event));
}

void SilenceWatch::begin() {
  if (limit_ <= std::chrono::milliseconds::zero()) {
    return;
  }
  {
    const std::scoped_lock lock(mutex_);
    last_ = Clock::now();
  }
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void SilenceWatch::end() {
  thread_ = {};
}

void SilenceWatch::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (const SteadyTime until = last_ + limit_; Clock::now() < until) {
      ended_.wait_until(lock, stop, until, [] { return false; });
      continue;
    }
    lock.unlock();
    const bool computes = computes_();
    lock.lock();
    if (computes) {
      last_ = Clock::now();
    } else if (Clock::now() >= last_ + limit_) {
      const std::string step = step_;
      lock.unlock();
      on_silence_(step);
      return;
    }
  }
}

}  // namespace builder::build
