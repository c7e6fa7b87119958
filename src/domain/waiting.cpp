#include "domain/waiting.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <queue>
#include <string_view>

namespace builder::domain {

namespace {

using std::chrono::milliseconds;

/// Fewer say nothing of the next one.
constexpr std::size_t k_enough_measured = 3;
/// So near the head each step is news.
constexpr std::size_t k_near = 3;

/// Of a build that runs for `age`: what those that took longer still took from there on. One that
/// is older than all of them takes a mean once more.
milliseconds rest_of_build(const std::vector<milliseconds>& took, milliseconds age,
                           milliseconds mean) {
  milliseconds sum{0};
  int count = 0;
  for (const milliseconds one : took) {
    if (one > age) {
      sum += one - age;
      ++count;
    }
  }
  return count == 0 ? mean : sum / count;
}

std::string_view ordinal_ending(std::size_t number) {
  if (number % 100 / 10 == 1) {
    return "th";
  }
  switch (number % 10) {
    case 1:
      return "st";
    case 2:
      return "nd";
    case 3:
      return "rd";
    default:
      return "th";
  }
}

std::string about(milliseconds wait) {
  const auto minutes = std::chrono::round<std::chrono::minutes>(wait).count();
  if (wait < std::chrono::minutes(1)) {
    return "less than a minute";
  }
  if (minutes < 60) {
    const auto shown = minutes <= 10 ? minutes : (minutes + 2) / 5 * 5;
    return shown == 1    ? "about a minute"
           : shown == 60 ? "about an hour"
                         : fmt::format("about {} minutes", shown);
  }
  const auto hours = std::chrono::round<std::chrono::hours>(wait).count();
  return hours == 1 ? "about an hour" : fmt::format("about {} hours", hours);
}

}  // namespace

std::vector<milliseconds> expected_waits(const QueuePace& pace, std::size_t count) {
  if (pace.took.size() < k_enough_measured || pace.slots == 0 || pace.running.size() < pace.slots) {
    return {};
  }
  milliseconds sum{0};
  for (const milliseconds one : pace.took) {
    sum += one;
  }
  const milliseconds mean = sum / static_cast<int>(pace.took.size());
  std::vector<milliseconds> rests;
  for (const milliseconds age : pace.running) {
    rests.push_back(rest_of_build(pace.took, age, mean));
  }
  std::ranges::sort(rests);
  // Beyond the slots more are built while some rest: the first that end free no slot.
  const auto beyond = static_cast<std::ptrdiff_t>(rests.size() - pace.slots);
  std::priority_queue<milliseconds, std::vector<milliseconds>, std::greater<>> free_at(
      std::greater<>(), std::vector<milliseconds>(rests.begin() + beyond, rests.end()));
  std::vector<milliseconds> waits;
  while (waits.size() < count) {
    waits.push_back(free_at.top());
    free_at.pop();
    free_at.push(waits.back() + mean);
  }
  return waits;
}

std::string in_words(const WaitingNotice& notice) {
  return fmt::format("Waiting: {}{} in the queue{}{}", notice.place, ordinal_ending(notice.place),
                     notice.wait ? ", " : "", notice.wait ? about(*notice.wait) : "");
}

bool is_news(const WaitingNotice& said, const WaitingNotice& now) {
  if (in_words(said) == in_words(now)) {
    return false;
  }
  if (now.place != said.place) {
    const std::size_t moved = std::max(now.place, said.place) - std::min(now.place, said.place);
    if (now.place <= k_near || moved * 4 >= said.place) {
      return true;
    }
  }
  return now.wait && (!said.wait || *now.wait >= 2 * *said.wait);
}

std::vector<std::pair<DeploymentId, WaitingNotice>> WaitingNotices::due(const WaitingLine& line,
                                                                        Time now) {
  const auto waits = expected_waits(line.pace, line.waiting.size());
  std::map<DeploymentId, Known> known;
  std::vector<std::pair<DeploymentId, WaitingNotice>> due;
  for (std::size_t i = 0; i < line.waiting.size(); ++i) {
    const DeploymentId& deployment = line.waiting[i];
    const auto before = known_.find(deployment);
    const auto [entry, is_first] = known.try_emplace(
        deployment, before == known_.end() ? Known{.since = now} : before->second);
    const Known& one = entry->second;
    if (!is_first || one.left_alone || now - one.since < patience_) {
      continue;
    }
    const WaitingNotice notice{.place = i + 1,
                               .wait = waits.empty() ? std::nullopt : std::optional(waits[i])};
    if (!one.notice || (now - one.told >= k_interval && is_news(*one.notice, notice))) {
      due.emplace_back(deployment, notice);
    }
  }
  known_ = std::move(known);
  return due;
}

void WaitingNotices::said(const DeploymentId& deployment, const WaitingNotice& notice, Time now) {
  if (const auto known = known_.find(deployment); known != known_.end()) {
    known->second.told = now;
    known->second.notice = notice;
  }
}

void WaitingNotices::leave_alone(const DeploymentId& deployment) {
  if (const auto known = known_.find(deployment); known != known_.end()) {
    known->second.left_alone = true;
  }
}

}  // namespace builder::domain
