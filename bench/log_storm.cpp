// Feeds the log of one deployment as fast as it takes it, and measures how long the build was held,
// how long its end took, and the growth of this process. API_URL and API_KEY say where to;
// LINES, LINE_BYTES, LOG_SPOOL_SIZE and LOG_LIMIT (bytes) what. bench/log_storm.py starts it.
#include "adapters/dashboard/reporter.hpp"
#include "base/temp_dir.hpp"
#include "report/event_log.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace {

using namespace builder;
using Clock = std::chrono::steady_clock;

class Held final : public ports::Lease {
 public:
  [[nodiscard]] bool holds() const override { return true; }

  [[nodiscard]] bool wait(const std::stop_token& stop) const override {
    return !stop.stop_requested();
  }
};

class Silent final : public LogSink {
 public:
  void write(LogLevel, std::string_view) override {}

  [[nodiscard]] bool enabled(LogLevel) const override { return false; }
};

std::uint64_t number(const char* name, std::uint64_t fallback) {
  const char* value = std::getenv(name);
  return value == nullptr ? fallback : std::stoull(value);
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// KiB.
std::uint64_t memory(std::string_view field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field)) {
      return std::stoull(line.substr(line.find(':') + 1));
    }
  }
  return 0;
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

int main() {
  const std::uint64_t lines = number("LINES", 1'000'000);
  const std::string padding(number("LINE_BYTES", 100) - 12, 'y');
  const auto folder = TempDir::make("/tmp", "log-storm-");
  if (!folder) {
    return 1;
  }
  const auto http = adapters::http::make_client();
  const auto reporter = adapters::dashboard::make_reporter(
      {.api_url = variable("API_URL"), .api_key = Secret(variable("API_KEY"))}, *http);
  report::ChannelLimits limits;
  limits.backlog.spool = number("LOG_SPOOL_SIZE", 64U << 20U);
  limits.backlog.log = number("LOG_LIMIT", 64U << 20U);
  limits.backlog.spool_folder = folder->path();
  ports::Metrics metrics;
  SecretStore store;
  const auto secrets =
      store.add_deployment({{"SOME_TOKEN", Secret("a-token-that-never-shows-up")}});
  report::DeploymentChannel channel(*reporter, domain::DeploymentId("storm"),
                                    std::make_shared<Held>(), limits, metrics,
                                    Log(std::make_shared<Silent>()));
  report::EventLog log(channel, secrets);

  const std::uint64_t before = memory("VmRSS");
  const auto start = Clock::now();
  std::string chunk;
  for (std::uint64_t i = 1; i <= lines; ++i) {
    chunk += fmt::format("{:010} {}\n", i, padding);
    if (chunk.size() >= 32 * 1024 || i == lines) {
      log.emit(domain::StepOutput{.step = 1, .is_stderr = false, .data = chunk});
      chunk.clear();
    }
  }
  log.finish();
  const double fed = seconds_since(start);
  const ports::StatusUpdate update{.status = ports::DeploymentStatus::builded,
                                   .error = {},
                                   .log = {},
                                   .image_uri = "registry/image"};
  const auto answer = channel.status(update, {}, Clock::now() + std::chrono::minutes(30));
  fmt::print(
      "{} the build was held {:.1f} s, its end came after {:.1f} s, memory {:+.1f} MiB at the "
      "peak\n",
      answer ? "delivered:" : "NOT DELIVERED:", fed, seconds_since(start),
      static_cast<double>(memory("VmHWM") - before) / 1024);
  return answer ? 0 : 1;
}
