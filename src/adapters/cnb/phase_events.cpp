#include "adapters/cnb/phase_events.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace builder::adapters::cnb {

namespace {

using domain::buildpacks::LineKind;
using domain::buildpacks::LineMeaning;

constexpr std::size_t k_longest_line = 64 * 1024;
constexpr std::size_t k_most_detection_lines = 300;
constexpr std::size_t k_most_early_lines = 50;

constexpr std::string_view k_first_phase = "/cnb/lifecycle/analyzer";
/// The steps of the generated Dockerfile that are phases by themselves.
constexpr std::array k_phase_steps{
    std::pair{k_first_phase, std::string_view("ANALYZING")},
    std::pair{std::string_view("/cnb/lifecycle/detector"), std::string_view("DETECTING")},
    std::pair{std::string_view("/cnb/lifecycle/restorer"), std::string_view("RESTORING")},
    std::pair{std::string_view("/cnb/lifecycle/builder"), std::string_view("BUILDING")},
    std::pair{std::string_view("/cnb/lifecycle/exporter"), std::string_view("EXPORTING")},
};

/// What a step of the generated Dockerfile is called; empty: bookkeeping, which is not shown.
std::string shown_name(const std::string& name) {
  if (name.contains("] FROM ")) {
    const std::string image = name.substr(name.find("] FROM ") + 7);
    if (image == "scratch" || image == "lifecycle" || image == "source") {
      return {};
    }
    return (name.starts_with("[lifecycle ") ? "Lifecycle image " : "Builder image ") + image;
  }
  if (name.contains("] COPY --chown=") && name.contains(" app/ ")) {
    return "Copying the app";
  }
  return {};
}

}  // namespace

void PhaseEvents::emit(domain::BuildEvent event) {
  std::visit([this](const auto& what) { on(what); }, event);
}

void PhaseEvents::on(const domain::StepStarted& event) {
  SolveStep& step = steps_[event.step];
  if (event.name.contains("] RUN ")) {
    step.is_lifecycle = true;
    if (event.name.contains("/cnb-platform/create") || event.name.contains(k_first_phase)) {
      reader_ = {};  // The engine may have been lost and the solve begun again.
    }
    for (const auto& [program, phase] : k_phase_steps) {
      if (event.name.contains(program)) {
        reader_.read("===> " + std::string(phase));
        begin_phase(std::string(phase));
      }
    }
  } else if (std::string name = shown_name(event.name); !name.empty()) {
    step.shown = begin(std::move(name));
  }
}

void PhaseEvents::on(const domain::StepFinished& event) {
  const auto found = steps_.find(event.step);
  if (found == steps_.end()) {
    return;
  }
  SolveStep& step = found->second;
  if (!step.out.empty()) {
    line(std::exchange(step.out, {}), false);
  }
  if (!step.err.empty()) {
    line(std::exchange(step.err, {}), true);
  }
  // The engine's own words are about the generated Dockerfile.
  const std::string error =
      event.error.empty() || domain::was_stopped(event) ? event.error : "failed";
  if (step.is_lifecycle) {
    show_early();
    end_phase(error);
  } else if (step.shown) {
    end(*step.shown, event.cached, error);
  }
  steps_.erase(found);
}

void PhaseEvents::on(const domain::StepOutput& event) {
  SolveStep& step = steps_[event.step];
  if (!step.is_lifecycle) {
    return;
  }
  std::string& begun = event.is_stderr ? step.err : step.out;
  std::string_view rest = event.data;
  for (auto end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    begun += rest.substr(0, end);
    line(std::exchange(begun, {}), event.is_stderr);
    rest.remove_prefix(end + 1);
  }
  begun += rest;
  if (begun.size() > k_longest_line) {
    line(std::exchange(begun, {}), event.is_stderr);
  }
}

void PhaseEvents::on(const domain::Message& event) {
  // Words about the generated Dockerfile are none of the customer's.
  if (event.type != domain::LogType::error && !event.text.starts_with("Dockerfile:")) {
    events_.emit(event);
  }
}

void PhaseEvents::on(const domain::OutputLost& event) {
  events_.emit(event);
}

void PhaseEvents::on(const domain::Activity& event) {
  const auto shown_number = [this](std::uint32_t number) -> std::optional<std::uint32_t> {
    const auto step = steps_.find(number);
    return step != steps_.end() && step->second.shown ? std::optional(step->second.shown->number)
                                                      : std::nullopt;
  };
  domain::Activity shown{.line = event.line};
  if (event.transfer) {
    if (const auto number = shown_number(event.transfer->step)) {
      shown.transfer = event.transfer;
      shown.transfer->step = *number;
    }
  }
  if (event.waiting) {
    shown.waiting = shown_number(*event.waiting);
  }
  events_.emit(std::move(shown));
}

void PhaseEvents::line(std::string_view text, bool is_stderr) {
  // There buildpacks speak, and not the lifecycle.
  if (is_stderr && !text.starts_with("ERROR: ")) {
    if (buildpack_) {
      show(text, true);
    } else if (early_.emplace_back(text); early_.size() >= k_most_early_lines) {
      show_early();
    }
    return;
  }
  const LineMeaning meaning = reader_.read(text);
  switch (meaning.kind) {
    case LineKind::phase_begins:
      begin_phase(meaning.name);
      return;
    case LineKind::buildpack_begins:
      begin_buildpack(meaning.name);
      return;
    case LineKind::buildpack_ends:
      end_buildpack("");
      return;
    case LineKind::detection:
      if (detection_.size() < k_most_detection_lines) {
        detection_.emplace_back(text);
      }
      return;
    case LineKind::chatter:
      return;
    case LineKind::plain:
      if (text.contains("ERROR: ")) {
        show_detection();
      }
      show(text, is_stderr);
  }
}

void PhaseEvents::show(std::string_view text, bool is_stderr) {
  if (!phase_) {
    phase_ = begin("Starting the lifecycle");
  }
  const OpenStep& step = buildpack_ ? *buildpack_ : *phase_;
  events_.emit(domain::StepOutput{
      .step = step.number, .is_stderr = is_stderr, .data = std::string(text) + "\n"});
}

void PhaseEvents::begin_phase(const std::string& name) {
  end_phase("");
  detection_.clear();
  phase_ = begin(name);
}

void PhaseEvents::begin_buildpack(const std::string& name) {
  end_buildpack("");
  buildpack_ = begin("Buildpack " + name);
  show_early();
}

void PhaseEvents::end_buildpack(const std::string& error) {
  if (buildpack_) {
    end(*std::exchange(buildpack_, std::nullopt), false, error);
  }
}

void PhaseEvents::end_phase(const std::string& error) {
  // The creator's step succeeds whatever happened: the trace knows better.
  const std::string fault = error.empty() && !reader_.trace().errors.empty() ? "failed" : error;
  end_buildpack(fault);
  if (phase_) {
    const OpenStep step = *std::exchange(phase_, std::nullopt);
    if (step.name == "EXPORTING") {
      export_time_ += Clock::now() - step.started;
    }
    end(step, false, fault);
  }
}

void PhaseEvents::show_early() {
  for (const std::string& text : std::exchange(early_, {})) {
    show(text, true);
  }
}

void PhaseEvents::show_detection() {
  for (const std::string& text : std::exchange(detection_, {})) {
    show(text, false);
  }
}

PhaseEvents::OpenStep PhaseEvents::begin(std::string name) {
  OpenStep step{.number = next_step_++, .name = std::move(name), .started = Clock::now()};
  events_.emit(domain::StepStarted{.step = step.number, .name = step.name});
  return step;
}

void PhaseEvents::end(const OpenStep& step, bool cached, const std::string& error) {
  events_.emit(domain::StepFinished{
      .step = step.number,
      .name = step.name,
      .cached = cached,
      .error = error,
      .duration =
          std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - step.started)});
}

void PhaseEvents::finish() {
  end_phase("");
  for (auto& [number, step] : steps_) {
    if (step.shown) {
      end(*std::exchange(step.shown, std::nullopt), false, "");
    }
  }
}

}  // namespace builder::adapters::cnb
