#include "app/cli/view/plain_view.hpp"

#include "app/cli/terminal.hpp"
#include "app/cli/view/output_lines.hpp"
#include "base/size.hpp"
#include "domain/shown_steps.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <utility>
#include <variant>

namespace builder::app::cli {

namespace {

using domain::LogType;

std::string in_seconds(std::chrono::milliseconds time) {
  return fmt::format("{:.1f}s", std::chrono::duration<double>(time).count());
}

void print(std::string_view row) {
  put(stderr, fmt::format("{}\n", row));
}

void print_failure(const BuildSummary& summary) {
  print((summary.end == BuildEnd::aborted ? "" : "ERROR: ") + shown_row(summary.result));
  for (const std::string& line : summary.details) {
    print(shown_row(line));
  }
}

class PlainView final : public BuildView {
 public:
  void emit(domain::BuildEvent event) override {
    std::visit([this](const auto& what) { on(what); }, event);
  }

  void finish(const BuildSummary& summary) override {
    output_.end_all();
    if (summary.end != BuildEnd::succeeded) {
      print_failure(summary);
      return;
    }
    for (const auto& [head, value] :
         {std::pair("Image", fmt::format("{}", fmt::join(summary.images, ", "))),
          std::pair("Digest", summary.digest),
          std::pair("Size", summary.size == 0 ? std::string() : bytes_in_words(summary.size))}) {
      if (!value.empty()) {
        print(fmt::format("{:8}{}", head, value));
      }
    }
    const auto own = [](const StepSummary& step) { return !domain::is_internal_step(step.name); };
    const auto all = std::ranges::count_if(summary.steps, own);
    const auto cached = std::ranges::count_if(
        summary.steps, [&](const StepSummary& step) { return own(step) && step.cached; });
    print(fmt::format("Total   {}, {} of {} steps cached, {} sent", in_seconds(summary.total),
                      cached, all, bytes_in_words(summary.context_bytes)));
    print(shown_row(summary.result));
  }

 private:
  void on(const domain::StepStarted& event) {
    if (!domain::is_internal_step(event.name)) {
      print(fmt::format("#{} {}", event.step, shown_row(event.name)));
    }
  }

  void on(const domain::StepFinished& event) {
    output_.end(event.step);
    const bool internal = domain::is_internal_step(event.name);
    const std::string number = internal ? fmt::format("#{} {}", event.step, shown_row(event.name))
                                        : fmt::format("#{}", event.step);
    if (!event.error.empty()) {
      print(fmt::format("{} ERROR: {}", number, shown_row(event.error)));
    } else if (domain::is_shown(event)) {
      print(event.cached ? number + " CACHED" : number + " DONE " + in_seconds(event.duration));
    }
  }

  void on(const domain::StepOutput& event) { output_.feed(event); }

  void on(const domain::Message& event) {
    print((event.type == LogType::warning ? "WARNING: " : "") + shown_row(event.text));
  }

  void on(const domain::OutputLost& event) { print("WARNING: " + shown_row(event.why)); }

  void on(const domain::Activity& event) {
    if (!event.line.empty()) {
      print(shown_row(event.line));
    }
  }

  OutputLines output_{[this](std::uint32_t step, bool /*is_stderr*/, const std::string& row) {
    print(output_.is_mixed() ? fmt::format("#{} {}", step, row) : row);
  }};
};

class QuietView final : public BuildView {
 public:
  explicit QuietView(std::FILE* stream) : stream_(stream) {}

  void emit(domain::BuildEvent event) override {
    // The lines of the Dockerfile that failed.
    if (auto* message = std::get_if<domain::Message>(&event);
        message != nullptr && message->type == LogType::error) {
      excerpt_.push_back(shown_row(message->text));
    }
  }

  void finish(const BuildSummary& summary) override {
    if (summary.end == BuildEnd::succeeded) {
      if (!summary.digest.empty() || !summary.images.empty()) {
        put(stream_, (summary.digest.empty() ? summary.images.front() : summary.digest) + "\n");
      }
      return;
    }
    for (const std::string& row : excerpt_) {
      print(row);
    }
    print_failure(summary);
  }

 private:
  std::FILE* const stream_;
  std::vector<std::string> excerpt_;
};

}  // namespace

std::unique_ptr<BuildView> make_plain_view() {
  return std::make_unique<PlainView>();
}

std::unique_ptr<BuildView> make_quiet_view(std::FILE* stream) {
  return std::make_unique<QuietView>(stream);
}

}  // namespace builder::app::cli
