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

/// What an engine says of a step that it stopped.
bool is_stopped(const std::string& error) {
  return error.contains("context canceled") || error.contains("CANCELED");
}

template <class Steps>
auto last_of(const Steps& steps) -> std::optional<typename Steps::mapped_type> {
  for (const auto& [number, tail] : std::views::reverse(steps)) {
    if (!tail.output.empty()) {
      return tail;
    }
  }
  return steps.empty() ? std::nullopt : std::optional(steps.rbegin()->second);
}

}  // namespace

void StepTails::emit(domain::BuildEvent event) {
  {
    const std::scoped_lock lock(mutex_);
    std::visit([this](const auto& what) { on(what); }, event);
  }
  events_.emit(std::move(event));
}

void StepTails::on(const domain::StepStarted& event) {
  running_[event.step].name = event.name;
}

void StepTails::on(const domain::StepOutput& event) {
  keep_end(running_[event.step].output, event.data);
}

void StepTails::on(const domain::StepFinished& event) {
  auto step = running_.extract(event.step);
  if (event.error.empty() || step.empty()) {
    return;
  }
  step.mapped().name = event.name;
  step.mapped().error = event.error;
  Steps& ended = is_stopped(event.error) ? interrupted_ : failed_;
  if (ended.size() >= k_most_steps) {
    ended.erase(ended.begin());
  }
  ended.insert(std::move(step));
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
