#include "app/doctor/report.hpp"

#include "base/text.hpp"

#include <utility>

namespace builder::app {

namespace {

constexpr std::size_t k_longest = 600;

}  // namespace

std::string_view to_string(State state) {
  switch (state) {
    case State::ok:
      return "ok";
    case State::warning:
      return "warning";
    case State::failure:
      return "failure";
    case State::not_tried:
      break;
  }
  return "not tried";
}

void Report::add(std::string_view group, std::string_view what, State state, std::string_view text,
                 const Advice& advice) {
  const auto shown = [this](std::string_view part) {
    return printable_line(secrets_.redact(part), k_longest);
  };
  findings_.lock()->push_back({.group = group.empty() ? group_ : std::string(group),
                               .what = std::string(what),
                               .state = state,
                               .text = shown(text),
                               .setting = advice.setting,
                               .cure = shown(advice.cure)});
}

void Report::failure(std::string_view what, const Error& error, Advice advice) {
  if (!error.setting.empty()) {
    advice.setting = error.setting;
  }
  const bool is_late = error.kind == ErrorKind::cancelled || error.kind == ErrorKind::timed_out;
  failure(what, is_late ? "no answer in time: " + error.message : error.message, advice);
}

void HeardLog::write(LogLevel level, std::string_view line) {
  if (enabled(level)) {
    lines_.lock()->emplace_back(line);
  }
}

}  // namespace builder::app
