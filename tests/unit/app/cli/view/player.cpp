// Plays the recorded build on this terminal, for the eyes: `live_view_player [failure|abort]
// [SPEED]`.
#include "app/cli/view/live_view.hpp"
#include "base/stop.hpp"
#include "fakes/recorded_build.hpp"

#include <unistd.h>

#include <cstdlib>
#include <stop_token>
#include <string>

int main(int argc, char** argv) {
  using namespace builder;
  const std::string kind = argc > 1 ? argv[1] : "success";
  const double speed = argc > 2 ? std::atof(argv[2]) : 1;
  auto events = kind == "failure" ? fakes::recorded_failure() : fakes::recorded_success();
  auto end = kind == "failure" ? app::cli::BuildEnd::failed : app::cli::BuildEnd::succeeded;
  if (kind == "abort") {
    events.resize(events.size() / 2);
    end = app::cli::BuildEnd::aborted;
  }
  const auto view = app::cli::make_live_view(STDOUT_FILENO, {});
  std::chrono::milliseconds now{0};
  for (const fakes::TimedEvent& timed : events) {
    const std::chrono::duration<double, std::milli> pause = (timed.at - now) / speed;
    sleep_for(std::chrono::duration_cast<std::chrono::milliseconds>(pause), std::stop_token());
    now = std::max(now, timed.at);
    view->emit(timed.event);
  }
  view->finish(fakes::recorded_summary(events, end));
}
