#pragma once

#include "base/fd.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace builder::app {

/// What a client gets.
struct HttpAnswer {
  int status = 200;
  std::string_view reason = "OK";
  std::string body = {};
  std::string_view type = "text/plain; charset=utf-8";
};

/// Makes pages that have to wait for a disk, one after the other, on a thread of its own. It holds
/// a few at most, those that wait to be made and those that are made taken together. `ask` and
/// `take` are called by one thread.
class PageQueue {
 public:
  using Make = std::function<HttpAnswer(const std::string& target)>;

  /// `make` is called on the thread, until the object is gone.
  explicit PageQueue(Make make);
  PageQueue(const PageQueue&) = delete;
  PageQueue& operator=(const PageQueue&) = delete;

  /// False: there is no room.
  bool ask(std::uint64_t id, std::string target);

  /// Becomes readable when a page is there to be taken.
  [[nodiscard]] int descriptor() const { return made_event_.get(); }

  /// What was made since the last time.
  std::vector<std::pair<std::uint64_t, HttpAnswer>> take();

 private:
  struct State {
    std::deque<std::pair<std::uint64_t, std::string>> asked;
    std::vector<std::pair<std::uint64_t, HttpAnswer>> made;
    std::size_t held = 0;
  };

  void run(const std::stop_token& stop);

  const Make make_;
  const Fd made_event_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  State state_;  ///< With the mutex.
  std::jthread thread_;
};

}  // namespace builder::app
