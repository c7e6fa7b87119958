#pragma once

#include <chrono>
#include <string>
#include <string_view>

namespace builder {

/// Tells whether a trouble that is met again and again deserves a line in the log: at once when it
/// is new or another one, then every half minute. Not thread-safe.
class Recurrence {
 public:
  [[nodiscard]] bool is_news(std::string_view message) {
    const auto now = std::chrono::steady_clock::now();
    if (message == message_ && now < quiet_until_) {
      return false;
    }
    message_ = message;
    quiet_until_ = now + k_quiet;
    return true;
  }

  /// It is over: the next one is new.
  void over() { message_.clear(); }

 private:
  static constexpr std::chrono::seconds k_quiet{30};

  std::string message_;
  std::chrono::steady_clock::time_point quiet_until_;
};

}  // namespace builder
