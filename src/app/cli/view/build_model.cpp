#include "app/cli/view/build_model.hpp"

#include "base/text.hpp"
#include "domain/shown_steps.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace builder::app::cli {

namespace {

/// Nobody reads more of a name, and rows have to stay cheap.
constexpr std::size_t k_longest_row = 500;
/// Layers of an image; an engine that names more of them has lost its way.
constexpr std::size_t k_most_transfers = 1'000;
constexpr std::chrono::milliseconds k_between_samples{250};
constexpr std::chrono::seconds k_rate_window{4};

}  // namespace

bool is_internal(const std::string& step_name) {
  return domain::is_internal_step(step_name);
}

TransferState RunningStep::transfers() const {
  TransferState all{.parts = transfers_.size()};
  bool is_total_known = true;
  for (const domain::Transfer& one : transfers_) {
    all.current += one.current;
    all.total += one.total;
    is_total_known = is_total_known && (one.total > 0 || one.current == 0);
    if (one.done) {
      ++all.done;
    } else {
      all.part = one.name;
    }
  }
  all.total = is_total_known ? std::max(all.total, all.current) : 0;
  return all;
}

double RunningStep::rate(SteadyTime now) const {
  const auto begin =
      std::ranges::find_if(samples_, [&](const Sample& s) { return now - s.at <= k_rate_window; });
  if (begin == samples_.end()) {
    return 0;
  }
  // The bytes before the window count from its last sample on.
  const Sample& from = begin == samples_.begin() ? *begin : *std::prev(begin);
  const std::chrono::duration<double> time = now - from.at;
  return time < k_between_samples
             ? 0
             : static_cast<double>(samples_.back().bytes - from.bytes) / time.count();
}

void RunningStep::take(const domain::Transfer& transfer, SteadyTime now) {
  is_waiting_ = false;
  const auto known = std::ranges::find(transfers_, transfer.name, &domain::Transfer::name);
  if (known != transfers_.end()) {
    *known = transfer;
  } else if (transfers_.size() < k_most_transfers) {
    transfers_.push_back(transfer);
  }
  const std::uint64_t bytes = transfers().current;
  if (samples_.empty()) {
    samples_.push_back({began_, 0});
  }
  if (bytes < samples_.back().bytes) {
    samples_ = {{now, bytes}};  // A part began anew.
  } else if (samples_.size() > 1 && now - samples_.back().at < k_between_samples) {
    samples_.back().bytes = bytes;
  } else {
    samples_.push_back({now, bytes});
  }
  while (samples_.size() > 2 && now - samples_[1].at > k_rate_window) {
    samples_.pop_front();
  }
}

void BuildModel::apply(const domain::BuildEvent& event, SteadyTime now) {
  std::visit([&](const auto& what) { on(what, now); }, event);
}

std::vector<HistoryRow> BuildModel::take_history() {
  return std::exchange(history_, {});
}

void BuildModel::stop_steps(SteadyTime now) {
  for (const auto& [number, step] : std::exchange(running_, {})) {
    if (!is_internal(step.name()) && !step.is_waiting()) {
      history_.push_back(
          {.kind = HistoryRow::Kind::stopped,
           .text = step.name(),
           .duration = std::chrono::duration_cast<std::chrono::milliseconds>(now - step.began())});
    }
  }
  activity_.clear();
}

void BuildModel::on(const domain::StepStarted& event, SteadyTime now) {
  running_.insert_or_assign(event.step,
                            RunningStep(printable_line(event.name, k_longest_row), now));
}

void BuildModel::on(const domain::StepFinished& event, SteadyTime) {
  using Kind = HistoryRow::Kind;
  auto step = running_.extract(event.step);
  std::string name = printable_line(event.name, k_longest_row);
  const bool internal = is_internal(name);
  if (!internal) {
    ++ended_;
    cached_ += event.cached ? 1 : 0;
  }
  const Kind kind = domain::was_stopped(event) ? Kind::stopped
                    : !event.error.empty()     ? Kind::failed
                    : event.cached             ? Kind::cached
                                               : Kind::done;
  if (!internal || kind == Kind::failed ||
      (kind == Kind::done && event.duration >= domain::k_long_step)) {
    history_.push_back({.kind = kind, .text = name, .duration = event.duration});
  }
  if (kind == Kind::failed && failed_runs_.size() < k_most_failed_runs) {
    failed_runs_.push_back({.name = std::move(name),
                            .error = printable_line(event.error),
                            .output = step ? std::move(step.mapped().output_) : OutputRows()});
  }
}

void BuildModel::on(const domain::StepOutput& event, SteadyTime) {
  // Output behind the end of a step belongs to none that is shown.
  if (const auto step = running_.find(event.step); step != running_.end()) {
    step->second.output_.feed(event.data, event.is_stderr);
  }
}

void BuildModel::on(const domain::Message& event, SteadyTime) {
  std::string text = printable_columns(event.text);
  if (event.type == domain::LogType::warning) {
    warn(text);
  } else if (event.type == domain::LogType::error) {
    if (errors_.size() < k_most_errors) {
      errors_.push_back(std::move(text));
    }
  } else {
    activity_.clear();
    history_.push_back({.kind = HistoryRow::Kind::message, .text = std::move(text)});
  }
}

void BuildModel::on(const domain::OutputLost& event, SteadyTime) {
  warn(printable_line(event.why));
}

void BuildModel::on(const domain::Activity& event, SteadyTime now) {
  if (!event.line.empty()) {
    activity_ = printable_line(event.line, k_longest_row);
  }
  if (event.transfer) {
    if (const auto step = running_.find(event.transfer->step); step != running_.end()) {
      step->second.take(*event.transfer, now);
    }
  }
  if (event.waiting) {
    if (const auto step = running_.find(*event.waiting); step != running_.end()) {
      step->second.is_waiting_ = true;
    }
  }
}

void BuildModel::warn(const std::string& text) {
  if (std::ranges::find(warnings_, text) != warnings_.end()) {
    return;
  }
  if (warnings_.size() < k_most_warnings) {
    warnings_.push_back(text);
  } else {
    ++more_warnings_;
  }
}

}  // namespace builder::app::cli
