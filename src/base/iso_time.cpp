#include "base/iso_time.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <ctime>

namespace builder {

namespace {

/// Takes `digits` digits from the front.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  int number = 0;
  const std::string_view front = text.substr(0, digits);
  const auto [end, error] = std::from_chars(front.data(), front.data() + front.size(), number);
  if (front.size() != digits || front.front() == '-' || error != std::errc() ||
      end != front.data() + digits) {
    return std::nullopt;
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, std::string_view any_of) {
  if (text.empty() || !any_of.contains(text.front())) {
    return false;
  }
  text.remove_prefix(1);
  return true;
}

std::optional<std::chrono::sys_days> take_date(std::string_view& text) {
  const auto year = take_number(text, 4);
  if (!year || !take(text, "-")) {
    return std::nullopt;
  }
  const auto month = take_number(text, 2);
  if (!month || !take(text, "-")) {
    return std::nullopt;
  }
  const auto day = take_number(text, 2);
  const std::chrono::year_month_day date(std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(day.value_or(0))));
  return date.ok() ? std::optional(std::chrono::sys_days(date)) : std::nullopt;
}

}  // namespace

std::string iso_time(MillisecondTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(static_cast<std::time_t>(seconds.time_since_epoch().count())),
                     (time - seconds).count());
}

std::optional<MillisecondTime> parse_iso_time(std::string_view text) {
  const auto date = take_date(text);
  if (!date || text.empty()) {
    return date;
  }
  if (!take(text, "T ")) {
    return std::nullopt;
  }
  const auto hours = take_number(text, 2);
  if (!hours || *hours > 23 || !take(text, ":")) {
    return std::nullopt;
  }
  const auto minutes = take_number(text, 2);
  if (!minutes || *minutes > 59 || !take(text, ":")) {
    return std::nullopt;
  }
  const auto seconds = take_number(text, 2);
  if (!seconds || *seconds > 60) {
    return std::nullopt;
  }
  std::chrono::milliseconds rest{0};
  if (take(text, ".")) {
    std::chrono::milliseconds unit{100};
    if (text.empty() || text.front() < '0' || text.front() > '9') {
      return std::nullopt;
    }
    while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
      rest += unit * *take_number(text, 1);
      unit /= 10;
    }
  }
  take(text, "Z");
  if (!text.empty()) {
    return std::nullopt;
  }
  return MillisecondTime(*date) + std::chrono::hours(*hours) + std::chrono::minutes(*minutes) +
         std::chrono::seconds(*seconds) + rest;
}

}  // namespace builder
