#include "domain/closing_words.hpp"

#include "base/size.hpp"
#include "base/text.hpp"
#include "domain/shown_steps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace builder::domain {

namespace {

constexpr std::size_t k_slowest = 3;
constexpr std::chrono::milliseconds k_worth_telling{100};

}  // namespace

std::string time_in_words(std::chrono::milliseconds time) {
  const double seconds =
      static_cast<double>(std::max(time, std::chrono::milliseconds(0)).count()) / 1e3;
  if (seconds < 59.95) {
    return fmt::format("{:.1f}s", seconds);
  }
  const auto whole = std::llround(seconds);
  return whole < 3'600 ? fmt::format("{}m {:02}s", whole / 60, whole % 60)
                       : fmt::format("{}h {:02}m", whole / 3'600, whole / 60 % 60);
}

void StepTally::add(const std::string& name, std::chrono::milliseconds duration, bool cached) {
  if (is_internal_step(name)) {
    return;
  }
  ++all_;
  cached_ += cached ? 1 : 0;
  if (cached || duration < k_worth_telling) {
    return;
  }
  // Of equals the first stays in front.
  const auto place =
      std::ranges::find_if(slowest_, [&](const Slow& other) { return other.duration < duration; });
  slowest_.insert(place, Slow{.name = name, .duration = duration});
  slowest_.resize(std::min(slowest_.size(), k_slowest));
}

std::string closing_row(const std::string& name, const std::string& value) {
  return fmt::format("{:<9}{}", name, value);
}

std::vector<std::string> closing_rows(const BuildFigures& figures) {
  std::vector<std::string> rows;
  if (std::string packed = in_words(figures.packed); !packed.empty()) {
    rows.push_back(closing_row("size", packed));
  }
  for (const auto& [name, bytes] : {std::pair("size", figures.size),
                                    {"context", figures.context_bytes},
                                    {"pushed", figures.pushed_bytes}}) {
    if (bytes > 0) {
      rows.push_back(closing_row(name, bytes_in_words(bytes)));
    }
  }
  const StepTally& steps = figures.steps;
  if (steps.all() > 0) {
    rows.push_back(closing_row(
        "steps", steps.cached() == 0
                     ? std::to_string(steps.all())
                     : fmt::format("{}, {} of them cached ({} %)", steps.all(), steps.cached(),
                                   steps.cached() * 100 / steps.all())));
  }
  for (const StepTally::Slow& step : steps.slowest()) {
    rows.push_back(closing_row(
        &step == &steps.slowest().front() ? "slowest" : "",
        fmt::format("{:>7}  {}", time_in_words(step.duration), printable_line(step.name))));
  }
  return rows;
}

}  // namespace builder::domain
