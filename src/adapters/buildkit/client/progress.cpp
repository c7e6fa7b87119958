#include "adapters/buildkit/client/progress.hpp"

#include "adapters/buildkit/diagnosis/engine_words.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <system_error>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

namespace wire = moby::buildkit::v1;

/// What the daemon adds to the piece of output behind which it drops the rest.
bool is_clipped(const std::string& output) {
  return output.ends_with(" reached]\n") && output.contains("\n[output clipped, log limit ");
}

/// The part of an export that goes to a registry: "pushing layers", "pushing manifest for …".
constexpr std::string_view k_pushing = "pushing ";

constexpr std::int64_t k_stderr = 2;

/// Of faults and warnings so many are kept to explain a failure by.
constexpr std::size_t k_most_kept = 1'000;

/// Enough to see why a command ended.
void keep_end(std::string& kept, std::string_view output) {
  constexpr std::size_t k_kept = 2048;
  kept += output.substr(output.size() - std::min(output.size(), k_kept));
  if (kept.size() > 2 * k_kept) {
    kept.erase(0, kept.size() - k_kept);
  }
}

std::string name_of(const wire::Vertex& vertex) {
  return printable_columns(vertex.has_progress_group() ? vertex.progress_group().name()
                                                       : vertex.name());
}

std::chrono::nanoseconds time_of(const google::protobuf::Timestamp& stamp) {
  return std::chrono::seconds(stamp.seconds()) + std::chrono::nanoseconds(stamp.nanos());
}

/// Docker's own, from the version on that reads the same ignore file as those in the daemons.
bool is_official_frontend(std::string_view image) {
  constexpr std::string_view k_name = "docker.io/docker/dockerfile:1";
  if (!image.starts_with(k_name)) {
    return false;
  }
  image.remove_prefix(k_name.size());
  return image.empty() || (image.starts_with('.') && image != ".0" && !image.starts_with(".0.") &&
                           !image.starts_with(".0-"));
}

/// `[web 2/4] COPY a /` -> `COPY a /`; empty: the step is none of a Dockerfile's.
std::string_view instruction_of(std::string_view step) {
  const auto stage = step.starts_with('[') ? step.find("] ") : std::string_view::npos;
  return stage == std::string_view::npos ? std::string_view() : step.substr(stage + 2);
}

/// An instruction that can stand on an empty image, and takes nothing from elsewhere then.
bool needs_nothing(std::string_view step) {
  const auto instruction = instruction_of(step);
  return instruction.starts_with("WORKDIR ") || instruction.starts_with("COPY ");
}

bool begins_with_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [text](auto word) { return text.starts_with(word); });
}

/// A vertex that takes nothing from anywhere.
bool is_no_source(std::string_view name) {
  return begins_with_one_of(
      name, {"[internal] ", "[auth] ", "resolve image config for ", "exporting to "});
}

/// Whether it may be a command that downloads something, as Docker's frontend names its steps.
bool may_download(std::string_view step) {
  const auto instruction = instruction_of(step);
  return !instruction.empty() && !is_no_source(step) &&
         !begins_with_one_of(instruction, {"FROM ", "COPY ", "ADD ", "WORKDIR "});
}

/// As the daemon writes it behind the output of a step: this line, and one for each request.
constexpr std::string_view k_requests = "proxy network requests:\n";

bool is_request(std::string_view line) {
  return line.starts_with("- ") && line.size() > 2 && line[2] >= 'A' && line[2] <= 'Z';
}

}  // namespace

void Progress::apply(const wire::StatusResponse& message, bool is_first_part) {
  was_told_ = true;
  if (!message.vertexes().empty()) {
    complete_late();
  }
  for (const wire::Vertex& vertex : message.vertexes()) {
    note_source(vertex);
    note_run(vertex);
  }
  // One message may hold a step's start, output and end: in this order, whatever its layout.
  for (const wire::Vertex& vertex : message.vertexes()) {
    if (vertex.has_started()) {
      start(step_of(vertex), vertex);
    }
  }
  for (const wire::VertexStatus& status : message.statuses()) {
    if (!push_began_ && status.id().starts_with(k_pushing)) {
      push_began_ = std::chrono::steady_clock::now();
      events_.info("Pushing image");
      try {
        push_ = std::make_unique<oci::PushProgress>(events_);
      } catch (const std::system_error&) {
        // Without a thread to be had nobody tells how far it is; the push goes on.
      }
    }
  }
  for (const wire::VertexStatus& status : message.statuses()) {
    activity(status);
  }
  for (const wire::VertexLog& log : message.logs()) {
    output(log);
  }
  for (const wire::VertexWarning& entry : message.warnings()) {
    warning(entry);
  }
  for (const wire::Vertex& vertex : message.vertexes()) {
    if (vertex.has_completed()) {
      late_.push_back(vertex);
    }
  }
  if (!is_first_part && !message.vertexes().empty()) {
    complete_late();
  }
}

std::string Progress::as_written(std::string text) const {
  return mounts_ == nullptr ? text : mounts_->without_versions(std::move(text));
}

void Progress::complete_late() {
  for (const wire::Vertex& vertex : std::exchange(late_, {})) {
    complete(step_of(vertex), vertex);
  }
}

Progress::Step& Progress::step_of(const wire::Vertex& vertex) {
  if (vertex.has_progress_group()) {
    groups_[vertex.digest()] = vertex.progress_group().id();
  }
  return step_of(vertex.digest());
}

Progress::Step& Progress::step_of(const std::string& digest) {
  const auto group = groups_.find(digest);
  return steps_[group == groups_.end() ? digest : group->second];
}

std::uint32_t Progress::number(Step& step, bool cached) {
  if (step.number == 0) {
    step.number = next_step_++;
    events_.emit(domain::StepStarted{.step = step.number, .name = step.name, .cached = cached});
  }
  return step.number;
}

void Progress::start(Step& step, const wire::Vertex& vertex) {
  for (const std::string& input : vertex.inputs()) {
    release(input, step);
  }
  step.name = as_written(name_of(vertex));
  step.started = std::max(step.started.value_or(Time::min()), time_of(vertex.started()));
  number(step, vertex.cached());
}

void Progress::complete(Step& step, const wire::Vertex& vertex) {
  const Time completed = time_of(vertex.completed());
  if (step.finished || step.completed == completed) {
    return;
  }
  step.name = as_written(name_of(vertex));
  number(step, vertex.cached());
  step.cached = vertex.cached() && (step.cached || !vertex.has_progress_group());
  step.completed = completed;
  step.spent += completed - step.started.value_or(completed);
  ++step.runs;
  if (!vertex.error().empty() && failed_.size() < k_most_kept) {
    failed_.push_back({.number = step.number,
                       .digest = vertex.digest(),
                       .name = step.name,
                       .error = as_written(vertex.error()),
                       .output = step.output});
  }
  // The second run of an [internal] source is empty: it need not be waited for.
  const bool may_run_again = vertex.inputs().empty() && !vertex.cached() &&
                             vertex.error().empty() && step.runs < 2 &&
                             !step.name.starts_with("[internal]");
  const bool goes_on = vertex.progress_group().weak() && vertex.error().empty();
  if (may_run_again || goes_on) {
    step.held_back = true;
    if (may_run_again) {
      events_.emit(domain::Activity{.waiting = step.number});
    }
    return;
  }
  emit_finished(step, as_written(vertex.error()));
}

void Progress::emit_finished(Step& step, const std::string& error) {
  step.finished = true;
  step.held_back = false;
  step.output = {};
  events_.emit(domain::StepFinished{
      .step = step.number,
      .name = step.name,
      .cached = step.cached,
      .error = without_engine_paths(printable_columns(error)),
      .duration = std::chrono::duration_cast<std::chrono::milliseconds>(step.spent)});
}

void Progress::release(const std::string& digest, const Step& user) {
  if (Step& step = step_of(digest); step.held_back && &step != &user) {
    emit_finished(step, {});
  }
}

/// What has no inputs came from somewhere, or is something that the daemon does. Frontends name a
/// source after what it is: "[internal] load build context", "[build 1/3] FROM
/// docker.io/library/busybox:latest@sha256:…", "docker-image://…" (a frontend's own image), an
/// address (ADD); or after an instruction that needs nothing, like the WORKDIR of an empty image.
void Progress::note_source(const wire::Vertex& vertex) {
  const std::string_view name = vertex.name();
  if (auto asked_for = domain::tagged_image_of(name);
      asked_for && vertex.inputs().empty() && asked_for_.size() < k_most_kept) {
    taken_.insert({.name = *asked_for, .digest = {}});
    asked_for_.insert(*std::move(asked_for));
  }
  if (!vertex.inputs().empty() || is_no_source(name)) {
    return;
  }
  const auto image = domain::base_image_of(name);
  if (!image) {
    bases_are_known_ = bases_are_known_ && needs_nothing(name);
    return;
  }
  if (taken_.size() < k_most_kept) {
    taken_.insert(*image);
  }
  // An image without a digest may be the engine's own, which nobody else can look up. Frontends
  // that are not Docker's may read what ours does not know of, and name it as they like.
  if (image->digest.empty() || bases_.size() >= k_most_kept ||
      (name.starts_with(domain::k_frontend_step) && !is_official_frontend(image->name))) {
    bases_are_known_ = false;
    return;
  }
  const auto [known, is_new] = bases_.emplace(image->name, image->digest);
  if (!is_new && known->second != image->digest) {
    bases_are_known_ = false;
    several_.insert(image->name);
  }
}

void Progress::note_run(const wire::Vertex& vertex) {
  // Other frontends name their commands as they like, and may run containers that are no vertices.
  if (vertex.name().starts_with(domain::k_frontend_step)) {
    const auto image = domain::base_image_of(vertex.name());
    runs_are_known_ = runs_are_known_ && image && is_official_frontend(image->name);
  }
  if (!may_download(vertex.name())) {
    return;
  }
  if (runs_.size() >= k_most_kept && !runs_.contains(vertex.digest())) {
    runs_are_known_ = false;
    return;
  }
  bool& ran = runs_[vertex.digest()];
  ran = ran || (vertex.has_completed() && !vertex.cached());
}

bool Progress::all_ran() const {
  return was_told_ && runs_are_known_ &&
         std::ranges::all_of(runs_, [](const auto& run) { return run.second; });
}

std::optional<std::vector<domain::BaseImage>> Progress::bases() const {
  if (!bases_are_known_ || !was_told_) {
    return std::nullopt;
  }
  std::vector<domain::BaseImage> bases;
  for (const auto& [name, digest] : bases_) {
    bases.push_back({.name = name, .digest = digest});
  }
  return bases;
}

std::vector<domain::BaseImage> Progress::tagged() const {
  std::vector<domain::BaseImage> tagged;
  for (const auto& [name, digest] : bases_) {
    if (asked_for_.contains(name) && !several_.contains(name)) {
      tagged.push_back({.name = name, .digest = digest});
    }
  }
  return tagged;
}

void Progress::gap() {
  bases_are_known_ = runs_are_known_ = false;
  events_.emit(domain::OutputLost{
      "The build engine lost its way in so much output at once: some lines may be missing here. "
      "The build itself is not affected; an engine with BuildKit 0.10 or later does not do this."});
}

void Progress::broke_off() {
  bases_are_known_ = runs_are_known_ = false;
  events_.emit(domain::OutputLost{
      "The build engine did not end its log: the last lines of the output may be missing. The "
      "build itself is not affected."});
}

void Progress::finish() {
  push_.reset();
  complete_late();
  std::vector<Step*> held_back;
  for (auto& [digest, step] : steps_) {
    if (step.held_back) {
      held_back.push_back(&step);
    }
  }
  std::ranges::sort(held_back, {}, &Step::number);
  for (Step* step : held_back) {
    emit_finished(*step, {});
  }
}

/// Each line is a message of its own.
bool Progress::is_of_proxy(Step& step, const wire::VertexLog& log) const {
  if (!has_proxy_ || log.stream() != k_stderr) {
    return false;
  }
  const bool begins = log.msg().starts_with(k_requests);
  step.lists_requests = begins || (step.lists_requests && is_request(log.msg()));
  return step.lists_requests;
}

void Progress::output(const wire::VertexLog& log) {
  Step& step = step_of(log.vertex());
  const std::uint32_t step_number = number(step);
  if (!is_of_proxy(step, log)) {
    if (!step.finished) {
      keep_end(step.output, log.msg());
    }
    // Of a container that could not be started the runtime speaks, not the customer's command.
    events_.emit(domain::StepOutput{
        .step = step_number,
        .is_stderr = log.stream() == k_stderr,
        .data = is_runtime_message(log.msg()) ? without_engine_paths(log.msg()) : log.msg()});
  }
  if (!clip_explained_ && is_clipped(log.msg())) {
    clip_explained_ = true;
    events_.emit(domain::OutputLost{
        "The build engine cut the output of this step at its log limit; the build itself is not "
        "affected. The operator lifts the limit with BUILDKIT_STEP_LOG_MAX_SIZE and "
        "BUILDKIT_STEP_LOG_MAX_SPEED in the engine's environment."});
  }
}

void Progress::activity(const wire::VertexStatus& status) {
  const Step& step = step_of(status.vertex());
  domain::Activity activity;
  if (step.number != 0 && !step.finished) {
    activity.transfer = domain::Transfer{
        .step = step.number,
        .name = printable_line(status.id(), 200),
        .current = static_cast<std::uint64_t>(std::max<std::int64_t>(status.current(), 0)),
        .total = static_cast<std::uint64_t>(std::max<std::int64_t>(status.total(), 0)),
        .done = status.has_completed()};
  }
  events_.emit(std::move(activity));
}

void Progress::warning(const wire::VertexWarning& warning) {
  std::string text = printable_columns(as_written(warning.short_()));
  if (warnings_.size() < k_most_kept) {
    const int line = warning.ranges().empty() ? 0 : warning.ranges(0).start().line();
    warnings_.push_back({.line = static_cast<std::size_t>(std::max(line, 0)), .text = text});
  }
  if (!warning.info().filename().empty()) {
    const int line = warning.ranges().empty() ? 0 : warning.ranges(0).start().line();
    const std::string file = printable_columns(warning.info().filename());
    text =
        line > 0 ? fmt::format("{}:{}: {}", file, line, text) : fmt::format("{}: {}", file, text);
  }
  if (!warning.url().empty()) {
    text += fmt::format(" ({})", printable_columns(warning.url()));
  }
  events_.warning(std::move(text));
}

}  // namespace builder::adapters::buildkit
