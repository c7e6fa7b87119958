#pragma once

#include <chrono>
#include <map>
#include <string>
#include <string_view>

namespace builder {

/// Decides whether a problem that comes up again and again gets another line in the log: at once
/// if it is new or has changed, otherwise every ten minutes. Not thread-safe.
class LogThrottle {
 public:
  [[nodiscard]] bool is_news(std::string_view message) {
    const auto now = std::chrono::steady_clock::now();
    std::erase_if(told_, [now](const auto& one) { return now >= one.second + k_quiet; });
    if (told_.size() >= k_most_forms) {
      told_.clear();
    }
    return told_.try_emplace(std::string(message), now).second;
  }

  /// The problem is over: the next one counts as new.
  void over() { told_.clear(); }

 private:
  static constexpr std::chrono::minutes k_quiet{10};
  static constexpr std::size_t k_most_forms = 16;

  std::map<std::string, std::chrono::steady_clock::time_point, std::less<>> told_;
};

}  // namespace builder
