#pragma once

#include "base/log.hpp"
#include "ports/job_queue.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

/// What the benches of the queue have in common.
namespace builder::bench {

class Silent final : public ports::QueueListener, public LogSink {
 public:
  void must_stop(const domain::DeploymentId&, ports::StopReason) override {}

  void outbox_filled() override {}

  void malformed_element() override {}

  void given_up(const domain::DeploymentId&) override {}

  [[nodiscard]] ports::WorkerActivity activity() const override { return {}; }

  void write(LogLevel, std::string_view) override {}

  [[nodiscard]] bool enabled(LogLevel) const override { return false; }
};

inline std::string variable(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : value;
}

}  // namespace builder::bench
