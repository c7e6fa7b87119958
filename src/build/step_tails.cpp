#include "build/step_tails.hpp"

#include "domain/failures/failure_rules.hpp"

#include <algorithm>
#include <charconv>
#include <ranges>
#include <string_view>
#include <utility>
#include <variant>

namespace builder::build {

namespace {

constexpr std::size_t k_kept = domain::failures::FailureRules::k_most_output;
constexpr std::size_t k_most_steps = 50;

void keep_end(std::string& kept, std::string_view output) {
  kept += output.substr(output.size() - std::min(output.size(), k_kept));
  if (kept.size() > 2 * k_kept) {
    kept.erase(0, kept.size() - k_kept);
  }
}

}  // namespace

void StepTails::Step::take(const domain::StepOutput& event) {
  Row& row = rows.at(event.is_stderr ? 1 : 0);
  const std::string_view data = event.data;
  const std::size_t end = data.rfind('\n');
  std::string_view rest = data;
  if (end != std::string_view::npos) {
    std::string_view ended = data.substr(0, end + 1);
    rest.remove_prefix(end + 1);
    if (row.is_cut) {
      ended.remove_prefix(ended.find('\n') + 1);
    }
    keep_end(tail.output, row.text);
    keep_end(tail.output, ended);
    row = {};
  }
  if (!row.is_cut) {
    row.text += rest;
  }
  if (row.text.size() > k_kept) {
    row = {.text = {}, .is_cut = true};
  }
}

void StepTails::Step::drop_output() {
  tail.output = {};
  for (Row& row : rows) {
    row = {.text = {}, .is_cut = row.is_cut || !row.text.empty()};
  }
}

std::size_t StepTails::Step::size() const {
  return tail.output.size() + rows[0].text.size() + rows[1].text.size();
}

StepTails::Tail StepTails::Step::whole() const {
  Tail all = tail;
  for (const Row& row : rows) {
    const bool needs_end = !row.text.empty() && !all.output.empty() && !all.output.ends_with('\n');
    keep_end(all.output, needs_end ? "\n" : "");
    keep_end(all.output, row.text);
  }
  return all;
}

void StepTails::emit(domain::BuildEvent event) {
  {
    const std::scoped_lock lock(mutex_);
    std::visit([this](const auto& what) { on(what); }, event);
  }
  events_.emit(std::move(event));
}

void StepTails::on(const domain::StepStarted& event) {
  running_[event.step].tail.name = event.name;
}

void StepTails::on(const domain::StepOutput& event) {
  // An engine may pass the last words of a step on when the step has ended.
  for (Steps* steps : {&running_, &failed_, &interrupted_}) {
    if (const auto step = steps->find(event.step); step != steps->end()) {
      step->second.take(event);
    }
  }
  keep_bound(event.step);
}

void StepTails::on(const domain::StepFinished& event) {
  auto step = running_.extract(event.step);
  if (event.error.empty() || step.empty()) {
    return;
  }
  step.mapped().tail.name = event.name;
  step.mapped().tail.error = event.error;
  Steps& ended = domain::was_stopped(event) ? interrupted_ : failed_;
  if (ended.size() >= k_most_steps) {
    ended.erase(ended.begin());
  }
  ended.insert(std::move(step));
}

/// `writer`: the step that printed last keeps what it has.
void StepTails::keep_bound(std::uint32_t writer) {
  std::size_t size = 0;
  for (const auto& [number, step] : running_) {
    size += step.size();
  }
  for (auto& [number, step] : running_) {
    if (size <= k_most_running) {
      break;
    }
    if (number != writer) {
      size -= step.size();
      step.drop_output();
    }
  }
}

std::optional<StepTails::Tail> StepTails::last_of(const Steps& steps) {
  for (const auto& [number, step] : std::views::reverse(steps)) {
    if (step.size() > 0) {
      return step.whole();
    }
  }
  return steps.empty() ? std::nullopt : std::optional(steps.rbegin()->second.whole());
}

std::optional<StepTails::Tail> StepTails::failed() const {
  const std::scoped_lock lock(mutex_);
  return last_of(failed_);
}

std::optional<StepTails::Tail> StepTails::interrupted() const {
  const std::scoped_lock lock(mutex_);
  auto running = last_of(running_);
  return running ? running : last_of(interrupted_);
}

void StepTails::forget() {
  const std::scoped_lock lock(mutex_);
  running_.clear();
  failed_.clear();
  interrupted_.clear();
}

std::optional<int> exit_code_in(const std::string& error) {
  constexpr std::string_view k_mark = "exit code: ";
  const std::size_t at = error.rfind(k_mark);
  int code = 0;
  if (at == std::string::npos) {
    return std::nullopt;
  }
  const char* begin = error.data() + at + k_mark.size();
  const auto [end, fault] = std::from_chars(begin, error.data() + error.size(), code);
  return fault == std::errc() && end != begin ? std::optional(code) : std::nullopt;
}

}  // namespace builder::build
