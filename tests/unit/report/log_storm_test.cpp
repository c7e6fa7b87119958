#include "base/temp_dir.hpp"
#include "fakes/fake_lease.hpp"
#include "fakes/fake_steps.hpp"
#include "report/event_log.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <charconv>
#include <fstream>

namespace builder::report {
namespace {

using namespace std::chrono_literals;

/// Checks the order as the rows come, and keeps none.
class CountingReporter final : public ports::DeploymentReporter {
 public:
  explicit CountingReporter(std::chrono::microseconds delay) : delay_(delay) {}

  Result<ports::StatusAnswer> post_status(const domain::DeploymentId&, const ports::StatusUpdate&,
                                          const ports::PostTerms&) override {
    return ports::StatusAnswer{};
  }

  Result<> post_log(const domain::DeploymentId&, domain::LogType, const std::string& text,
                    const ports::PostTerms&) override {
    std::this_thread::sleep_for(delay_);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      take(std::string_view(text).substr(at, end - at));
      at = end + 1;
    }
    return {};
  }

  std::uint64_t next = 0;  ///< The number of the row that must come.
  std::uint64_t dropped = 0;
  std::uint64_t strays = 0;
  std::string last;

 private:
  void take(std::string_view row) {
    std::uint64_t number = 0;
    const bool gap = row.starts_with('[');
    std::from_chars(row.data() + (gap ? 1 : 0), row.data() + row.size(), number);
    if (gap) {
      next += number;
      dropped += number;
    } else if (row.size() > 1'000) {
      strays += number == next ? 0u : 1u;
      ++next;
    }
    last = row;
  }

  std::chrono::microseconds delay_;
};

// A sanitizer keeps freed memory for itself, and takes its time.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool k_sanitized = true;
#else
constexpr bool k_sanitized = false;
#endif
constexpr std::uint64_t k_lines = k_sanitized ? 100'000 : 1'000'000;

std::uint64_t resident_peak() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) {
      return std::stoull(line.substr(6)) << 10u;
    }
  }
  return 0;
}

struct Storm {
  std::chrono::microseconds delay;
  std::uint64_t limit;
};

class LogStorm : public testing::TestWithParam<Storm> {};

/// A million lines of a KiB each: the order is exact, every line that is missing is announced, and
/// the memory stays what the limits say.
TEST_P(LogStorm, OfAGibibyteIsBoundedAndInOrder) {
  const TempDir folder = TempDir::make(testing::TempDir(), "storm").value();
  CountingReporter reporter(GetParam().delay);
  ports::Metrics metrics;
  SecretStore store;
  const auto secrets = store.add_deployment({{"s", Secret("the-secret-value")}});
  ChannelLimits limits;
  limits.backlog.spool = 64U << 20U;
  limits.backlog.spool_folder = folder.path();
  limits.backlog.log = GetParam().limit;
  DeploymentChannel channel(reporter, domain::DeploymentId("d1"),
                            std::make_shared<fakes::FakeLease>(), limits, metrics,
                            fakes::null_log());
  EventLog log(channel, secrets);
  std::ofstream("/proc/self/clear_refs") << "5";  // The peak counts from here.
  const std::uint64_t before = resident_peak();
  const auto started = std::chrono::steady_clock::now();
  const std::string text(1'014, 'x');
  std::string chunk;
  for (std::uint64_t i = 0; i < k_lines; ++i) {
    fmt::format_to(std::back_inserter(chunk), "{:08} {}\n", i, text);
    if (chunk.size() > 32'000) {
      log.emit(domain::StepOutput{1, false, std::exchange(chunk, {})});
    }
  }
  log.emit(domain::StepOutput{1, false, std::move(chunk)});
  log.finish();
  const auto fed = std::chrono::steady_clock::now();
  ports::StatusUpdate update;
  update.status = ports::DeploymentStatus::builded;
  ASSERT_TRUE(channel.status(update, {}, started + 10min));
  const std::uint64_t grown = resident_peak() - before;
  fmt::print("{} MiB/s in, {:.1f} s in all, {} lines dropped, {:.1f} MiB of memory\n",
             static_cast<int>(static_cast<double>(k_lines >> 10u) /
                              std::chrono::duration<double>(fed - started).count()),
             std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count(),
             reporter.dropped, static_cast<double>(grown) / 1048576.0);
  EXPECT_EQ(reporter.next, k_lines);
  EXPECT_EQ(reporter.strays, 0u);
  EXPECT_EQ(reporter.last, reporter.dropped == 0
                               ? fmt::format("Log complete: {} lines", k_lines)
                               : fmt::format("Log incomplete: {} of {} lines are missing",
                                             reporter.dropped, k_lines));
  EXPECT_TRUE(k_sanitized || grown < 32u << 20u) << grown;
}

INSTANTIATE_TEST_SUITE_P(All, LogStorm,
                         testing::Values(Storm{.delay = 0us, .limit = 0},
                                         Storm{.delay = 5'000us, .limit = 0},
                                         Storm{.delay = 5'000us, .limit = 64u << 20u}));

}  // namespace
}  // namespace builder::report
