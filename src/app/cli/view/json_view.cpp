#include "app/cli/view/json_view.hpp"

#include "app/cli/terminal.hpp"
#include "app/cli/view/output_lines.hpp"

#include <nlohmann/json.hpp>

#include <string_view>
#include <utility>
#include <variant>

namespace builder::app::cli {

namespace {

using nlohmann::ordered_json;

std::string_view word(domain::LogType type) {
  switch (type) {
    case domain::LogType::warning:
      return "warning";
    case domain::LogType::error:
      return "error";
    default:
      return "info";
  }
}

std::string_view word(BuildEnd end) {
  switch (end) {
    case BuildEnd::succeeded:
      return "succeeded";
    case BuildEnd::failed:
      return "failed";
    case BuildEnd::aborted:
      return "aborted";
  }
  return {};
}

ordered_json steps_of(const BuildSummary& summary) {
  auto steps = ordered_json::array();
  for (const StepSummary& step : summary.steps) {
    steps.push_back({{"step", step.step},
                     {"name", shown_row(step.name)},
                     {"cached", step.cached},
                     {"error", shown_row(step.error)},
                     {"duration_ms", step.duration.count()}});
  }
  return steps;
}

class JsonView final : public BuildView {
 public:
  explicit JsonView(std::FILE* stream) : stream_(stream) {}

  void emit(domain::BuildEvent event) override {
    std::visit([this](const auto& what) { on(what); }, event);
  }

  void finish(const BuildSummary& summary) override {
    output_.end_all();
    auto details = ordered_json::array();
    for (const std::string& line : summary.details) {
      details.push_back(shown_row(line));
    }
    print({{"event", "end"},
           {"end", word(summary.end)},
           {"result", shown_row(summary.result)},
           {"details", std::move(details)},
           {"image", summary.images.empty() ? std::string() : summary.images.front()},
           {"images", summary.images},
           {"digest", summary.digest},
           {"size", summary.size},
           {"context_bytes", summary.context_bytes},
           {"total_ms", summary.total.count()},
           {"steps", steps_of(summary)}});
  }

 private:
  void on(const domain::StepStarted& event) {
    print({{"event", "step"}, {"step", event.step}, {"name", shown_row(event.name)}});
  }

  void on(const domain::StepFinished& event) {
    output_.end(event.step);
    print({{"event", "step_end"},
           {"step", event.step},
           {"name", shown_row(event.name)},
           {"cached", event.cached},
           {"error", shown_row(event.error)},
           {"duration_ms", event.duration.count()}});
  }

  void on(const domain::StepOutput& event) { output_.feed(event); }

  void on(const domain::Message& event) {
    print({{"event", "message"}, {"level", word(event.type)}, {"text", shown_row(event.text)}});
  }

  void on(const domain::OutputLost& event) {
    print({{"event", "output_lost"}, {"text", shown_row(event.why)}});
  }

  void on(const domain::Activity& event) {
    if (!event.line.empty()) {
      print({{"event", "message"}, {"level", "info"}, {"text", shown_row(event.line)}});
    }
  }

  void print(const ordered_json& object) { put(stream_, object.dump() + "\n"); }

  std::FILE* const stream_;
  OutputLines output_{[this](std::uint32_t step, bool is_stderr, const std::string& row) {
    print({{"event", "output"},
           {"step", step},
           {"stream", is_stderr ? "stderr" : "stdout"},
           {"line", row}});
  }};
};

}  // namespace

std::unique_ptr<BuildView> make_json_view(std::FILE* stream) {
  return std::make_unique<JsonView>(stream);
}

}  // namespace builder::app::cli
