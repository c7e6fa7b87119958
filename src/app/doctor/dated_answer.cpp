#include "app/doctor/dated_answer.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace builder::app {

namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

constexpr seconds k_noticed{5};
/// AWS refuses signatures some five minutes off, certificates begin and end, and people compare
/// logs.
constexpr seconds k_harmful{60};

}  // namespace

void compare_clocks(Report& report, std::string_view whose, system_clock::time_point theirs,
                    system_clock::time_point asked, system_clock::time_point answered) {
  const auto offset = std::chrono::round<seconds>(theirs - (asked + (answered - asked) / 2));
  const auto size = std::chrono::abs(offset);
  const std::string text = size < k_noticed
                               ? "as this machine's"
                               : fmt::format("{} s {} this machine's", size.count(),
                                             offset.count() > 0 ? "ahead of" : "behind");
  const State state = size >= k_harmful   ? State::failure
                      : size >= k_noticed ? State::warning
                                          : State::ok;
  report.add("clock", whose, state, text,
             state == State::ok
                 ? Advice()
                 : Advice{.cure = "let both machines keep time (timedatectl, chrony)"});
}

void compare_dates(const Circumstances& now, adapters::http::Client& http, std::string_view whose,
                   const std::string& url, Report& report) {
  const auto asked = system_clock::now();
  const auto answer =
      http.send({.method = adapters::http::Method::head, .url = url}, now.stop, now.deadline);
  const auto answered = system_clock::now();
  const auto date = answer ? answer->header("Date") : std::nullopt;
  // A cache says when its answer was made.
  if (!date || answer->header("Age")) {
    return;
  }
  if (const auto theirs = adapters::http::parse_http_date(*date)) {
    // Whole seconds: on the average half of one is cut off.
    compare_clocks(report, whose, *theirs + std::chrono::milliseconds(500), asked, answered);
  }
}

}  // namespace builder::app
