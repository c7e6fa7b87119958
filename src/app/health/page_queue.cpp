#include "app/health/page_queue.hpp"

#include "base/check.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <exception>

namespace builder::app {

namespace {

constexpr std::size_t k_most_held = 4;

}  // namespace

PageQueue::PageQueue(Make make)
    : make_(std::move(make)), made_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  BUILDER_CHECK(made_event_);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

bool PageQueue::ask(std::uint64_t id, std::string target) {
  {
    const std::scoped_lock lock(mutex_);
    if (state_.held >= k_most_held) {
      return false;
    }
    ++state_.held;
    state_.asked.emplace_back(id, std::move(target));
  }
  changed_.notify_one();
  return true;
}

std::vector<std::pair<std::uint64_t, HttpAnswer>> PageQueue::take() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t read = ::read(made_event_.get(), &count, sizeof count);
  const std::scoped_lock lock(mutex_);
  state_.held -= state_.made.size();
  return std::exchange(state_.made, {});
}

void PageQueue::run(const std::stop_token& stop) {
  for (;;) {
    std::pair<std::uint64_t, std::string> next;
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait(lock, stop, [this] { return !state_.asked.empty(); })) {
        return;
      }
      next = std::move(state_.asked.front());
      state_.asked.pop_front();
    }
    HttpAnswer answer;
    try {
      answer = make_(next.second);
    } catch (const std::exception&) {
      answer = {.status = 500, .reason = "Internal Server Error", .body = "this page broke\n"};
    }
    {
      const std::scoped_lock lock(mutex_);
      state_.made.emplace_back(next.first, std::move(answer));
    }
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(made_event_.get(), &one, sizeof one);
  }
}

}  // namespace builder::app
