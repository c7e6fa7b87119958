#include "adapters/oci/push_progress.hpp"

#include "base/stop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace builder::adapters::oci {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int k_intervals_without_news = 3;

}  // namespace

PushProgress::PushProgress(domain::EventSink& events, std::chrono::milliseconds interval)
    : events_(events),
      interval_(interval),
      thread_([this](const std::stop_token& stop) { run(stop); }) {
}

void PushProgress::run(const std::stop_token& stop) {
  const auto begin = Clock::now();
  auto last = begin;
  std::uint64_t before = 0;
  for (int silent = k_intervals_without_news - 1; sleep_for(interval_, stop);) {
    const PushedBytes bytes = *bytes_.lock();
    if (bytes.sent == 0 && ++silent < k_intervals_without_news) {
      continue;
    }
    silent = 0;
    const auto now = Clock::now();
    events_.emit(domain::Activity{push_line(bytes, before, now - last, now - begin)});
    last = now;
    before = bytes.sent;
  }
}

std::string push_line(PushedBytes now, std::uint64_t before, std::chrono::duration<double> since,
                      std::chrono::duration<double> lasted) {
  constexpr double k_mega = 1e6;
  if (now.sent == 0) {
    return fmt::format("Pushing: {:.0f} s so far", lasted.count());
  }
  const double rate =
      static_cast<double>(now.sent - std::min(before, now.sent)) / k_mega / since.count();
  std::string line = fmt::format("Pushing: {:.0f}", static_cast<double>(now.sent) / k_mega);
  if (now.total > 0) {
    const auto total = static_cast<double>(now.total);
    line += fmt::format(" of {:.0f} MB ({:.0f} %)", total / k_mega,
                        std::min(1.0, static_cast<double>(now.sent) / total) * 100);
  } else {
    line += " MB so far";
  }
  return line + fmt::format(", {:.{}f} MB/s", rate, rate < 10 ? 1 : 0);
}

}  // namespace builder::adapters::oci
