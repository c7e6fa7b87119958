#include "adapters/buildkit/progress.hpp"

#include <fmt/format.h>

namespace builder::adapters::buildkit {

namespace {

namespace bk = moby::buildkit::v1;

constexpr std::string_view k_clip_notice = "[output clipped, log limit";

/// All times are the engine's clock: only differences mean anything.
double seconds(const google::protobuf::Timestamp& time) {
  return static_cast<double>(time.seconds()) + static_cast<double>(time.nanos()) * 1e-9;
}

}  // namespace

void Progress::take(const bk::StatusResponse& status) {
  // A step's end is told together with its last output: begin, output, warnings, end.
  for (const bk::Vertex& vertex : status.vertexes()) {
    if (!vertex.has_completed()) {
      take(vertex);
    } else if (Step& known = step(vertex.digest()); !known.started) {
      bk::Vertex begin = vertex;
      begin.clear_completed();
      take(begin);
    }
  }
  for (const bk::VertexLog& log : status.logs()) {
    take(log);
  }
  for (const bk::VertexWarning& warning : status.warnings()) {
    take(warning);
  }
  for (const bk::Vertex& vertex : status.vertexes()) {
    if (vertex.has_completed()) {
      take(vertex);
    }
  }
}

Progress::Step& Progress::step(const std::string& digest) {
  return steps_[digest];
}

void Progress::take(const bk::Vertex& vertex) {
  Step& step = this->step(vertex.digest());
  if (!vertex.has_started() && !vertex.cached() && !vertex.has_completed()) {
    step.name = vertex.name();
    return;
  }
  if (!step.started) {
    step.started = true;
    step.name = vertex.name();
    step.started_at = seconds(vertex.started());
    std::uint32_t number = 1;
    for (const auto& [digest, other] : steps_) {
      number += other.number != 0 ? 1 : 0;
    }
    step.number = number;
    events_.emit(domain::StepStarted{step.number, step.name});
  }
  if (vertex.has_completed() && !step.finished) {
    step.finished = true;
    const auto took = std::chrono::duration<double>(seconds(vertex.completed()) - step.started_at);
    events_.emit(domain::StepFinished{
        step.number, step.name, vertex.cached(), vertex.error(),
        std::chrono::duration_cast<std::chrono::milliseconds>(took)});
    if (!vertex.error().empty() && !failed_) {
      failed_ = FailedStep{vertex.digest(), vertex.name(), vertex.error()};
    }
  }
}

void Progress::take(const bk::VertexLog& log) {
  const auto found = steps_.find(log.vertex());
  const std::uint32_t number = found == steps_.end() ? 0 : found->second.number;
  events_.emit(domain::StepOutput{number, log.stream() == 2, log.msg()});
  if (!clip_explained_ && log.msg().find(k_clip_notice) != std::string::npos) {
    clip_explained_ = true;
    events_.warning(
        "The build engine cut this step's output. The operator lifts the limit by starting the engine "
        "with BUILDKIT_STEP_LOG_MAX_SIZE=-1 and BUILDKIT_STEP_LOG_MAX_SPEED=-1");
  }
}

void Progress::take(const bk::VertexWarning& warning) {
  std::string line;
  if (warning.has_info() && !warning.info().filename().empty()) {
    line = warning.info().filename();
    if (warning.ranges_size() > 0) {
      line += fmt::format(":{}", warning.ranges(0).start().line());
    }
    line += ": ";
  }
  line += warning.short_();
  if (!warning.url().empty()) {
    line += " (" + warning.url() + ")";
  }
  events_.warning(std::move(line));
}

}  // namespace builder::adapters::buildkit
