#include "app/cli/view/live_view.hpp"

#include "app/cli/terminal.hpp"
#include "app/cli/view/build_model.hpp"
#include "app/cli/view/screen.hpp"
#include "base/stop.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

namespace builder::app::cli {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto k_between_frames = 100ms;
/// So soon a new size, and the next second, are seen when nothing happens.
constexpr auto k_between_looks = 250ms;

/// False: the terminal is gone.
bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd terminal{.fd = descriptor, .events = POLLOUT, .revents = 0};
      ::poll(&terminal, 1, -1);
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

class LiveView final : public BuildView {
 public:
  LiveView(int descriptor, SourceReader source)
      : descriptor_(descriptor),
        source_(std::move(source)),
        model_(Clock::now()),
        thread_([this](const std::stop_token& stop) { run(stop); }) {}

  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  ~LiveView() override {
    try {
      end({});
    } catch (const std::exception&) {
      // Nobody is left who could be told.
    }
  }

  void emit(domain::BuildEvent event) override {
    {
      const std::scoped_lock lock(mutex_);
      model_.apply(event, Clock::now());
      changed_ = true;
    }
    wake_.notify_one();
  }

  void finish(const BuildSummary& summary) override {
    stop();
    has_succeeded_ = summary.end == BuildEnd::succeeded;
    std::vector<std::string> closing;
    {
      const std::scoped_lock lock(mutex_);
      closing = closing_rows(terminal_of(descriptor_), model_, summary, source_);
    }
    end(closing);
  }

 private:
  void run(const std::stop_token& stop) {
    try {
      do {
        draw();
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, stop, k_between_looks, [this] { return changed_; });
      } while (sleep_for(k_between_frames, stop));
    } catch (const std::exception&) {
      is_gone_ = true;  // Out of memory: the build matters more than its view.
    }
  }

  void draw() {
    const Terminal terminal = terminal_of(descriptor_);
    std::string bytes;
    {
      // Nothing is written under the lock: a terminal that is held must not hold the build.
      const std::scoped_lock lock(mutex_);
      changed_ = false;
      bytes = screen_.frame(terminal, take_history(terminal),
                            live_rows(terminal, model_, Clock::now()));
    }
    is_gone_ = is_gone_ || !write_all(descriptor_, bytes);
  }

  void stop() {
    thread_.request_stop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  /// The second time does nothing.
  void end(const std::vector<std::string>& closing) {
    stop();
    if (std::exchange(has_ended_, true) || is_gone_) {
      return;
    }
    const Terminal terminal = terminal_of(descriptor_);
    const std::scoped_lock lock(mutex_);
    if (!has_succeeded_) {
      model_.stop_steps(Clock::now());
    }
    write_all(descriptor_, screen_.end(terminal, take_history(terminal), closing));
  }

  std::vector<std::string> take_history(const Terminal& terminal) {
    std::vector<std::string> rows;
    for (const HistoryRow& row : model_.take_history()) {
      rows.push_back(history_row(terminal, row));
    }
    return rows;
  }

  const int descriptor_;
  const SourceReader source_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  BuildModel model_;
  bool changed_ = false;
  // Of the thread, and once it is joined of whoever ends the view.
  Screen screen_;
  bool is_gone_ = false;
  bool has_ended_ = false;
  bool has_succeeded_ = false;
  std::jthread thread_;
};

}  // namespace

std::unique_ptr<BuildView> make_live_view(int descriptor, SourceReader source) {
  return std::make_unique<LiveView>(descriptor, std::move(source));
}

}  // namespace builder::app::cli
