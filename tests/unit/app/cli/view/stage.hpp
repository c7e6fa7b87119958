#pragma once

#include "app/cli/view/build_model.hpp"
#include "app/cli/view/rows.hpp"
#include "app/cli/view/screen.hpp"
#include "fakes/recorded_build.hpp"
#include "fakes/virtual_terminal.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace builder::app::cli {

/// The live view without its thread: the test says when a frame is drawn.
class Stage {
 public:
  Stage(std::size_t columns, std::size_t rows, bool reflows = true, bool colour = false)
      : shown(columns, rows, reflows), reflows_(reflows), colour_(colour) {}

  [[nodiscard]] Terminal terminal() const {
    return {.interactive = true,
            .colour = colour_,
            .columns = shown.columns(),
            .rows = shown.rows(),
            .can_redraw = true,
            .reflows = reflows_};
  }

  void apply(std::chrono::milliseconds at, const domain::BuildEvent& event) {
    model.apply(event, SteadyTime() + at);
  }

  /// The bytes of the frame.
  std::string draw(std::chrono::milliseconds at) {
    const std::string bytes =
        screen.frame(terminal(), history(), live_rows(terminal(), model, SteadyTime() + at));
    shown.write(bytes);
    return bytes;
  }

  /// Plays events until this time, ten frames a second.
  void play(const std::vector<fakes::TimedEvent>& events, std::chrono::milliseconds until) {
    using namespace std::chrono_literals;
    auto frame = 0ms;
    for (const fakes::TimedEvent& timed : events) {
      if (timed.at > until) {
        break;
      }
      for (; frame < timed.at; frame += 100ms) {
        draw(frame);
      }
      apply(timed.at, timed.event);
    }
    draw(until);
  }

  void finish(const BuildSummary& summary, const SourceReader& source = {}) {
    const auto closing = closing_rows(terminal(), model, summary, source);
    if (summary.end != BuildEnd::succeeded) {
      model.stop_steps(SteadyTime() + summary.total);
    }
    shown.write(screen.end(terminal(), history(), closing));
  }

  fakes::VirtualTerminal shown;
  BuildModel model{SteadyTime()};
  Screen screen;

 private:
  std::vector<std::string> history() {
    std::vector<std::string> rows;
    for (const HistoryRow& row : model.take_history()) {
      rows.push_back(history_row(terminal(), row));
    }
    return rows;
  }

  bool reflows_;
  bool colour_;
};

}  // namespace builder::app::cli
