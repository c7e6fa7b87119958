#include "app/cli/view/live_view.hpp"

#include "base/fd.hpp"
#include "fakes/recorded_build.hpp"
#include "fakes/virtual_terminal.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace builder::app::cli {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

/// A pseudo-terminal of the kernel, read by a virtual one as a terminal program would.
class LiveViews : public testing::Test {
 protected:
  void SetUp() override {
    int master = -1;
    int slave = -1;
    const winsize size{.ws_row = 12, .ws_col = 60, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::openpty(&master, &slave, nullptr, nullptr, &size), 0);
    master_ = Fd(master);
    slave_ = Fd(slave);
    // What the terminal is called decides what may be sent to it.
    ::setenv("TERM", "xterm-256color", 1);
    ::unsetenv("COLUMNS");
  }

  /// Reads until the terminal shows that; the frames come from another thread.
  bool shows(const std::function<bool()>& expected) {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (std::chrono::steady_clock::now() < deadline) {
      read(50ms);
      if (expected()) {
        return true;
      }
    }
    return false;
  }

  bool shows(const std::string& text) {
    return shows([&] {
      for (const std::string& row : shown_.all()) {
        if (row.contains(text)) {
          return true;
        }
      }
      return false;
    });
  }

  void read(std::chrono::milliseconds wait) {
    pollfd fd{.fd = master_.get(), .events = POLLIN, .revents = 0};
    std::array<char, 65'536> bytes{};
    while (::poll(&fd, 1, static_cast<int>(wait.count())) == 1 && (fd.revents & POLLIN) != 0) {
      const ssize_t count = ::read(master_.get(), bytes.data(), bytes.size());
      if (count <= 0) {
        return;
      }
      shown_.write({bytes.data(), static_cast<std::size_t>(count)});
      bytes_ += static_cast<std::size_t>(count);
      wait = 0ms;
    }
  }

  /// Reads beside a call that writes: the kernel holds a few KiB only.
  void beside_reader(const std::function<void()>& call) {
    std::jthread thread(call);
    std::jthread reader([this](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        read(10ms);
      }
    });
    thread.join();
    reader.request_stop();
    reader.join();
    read(0ms);
  }

  void resize(unsigned short columns, unsigned short rows) {
    const winsize size{.ws_row = rows, .ws_col = columns, .ws_xpixel = 0, .ws_ypixel = 0};
    ASSERT_EQ(::ioctl(master_.get(), TIOCSWINSZ, &size), 0);
    shown_.resize(columns, rows);
  }

  [[nodiscard]] std::unique_ptr<BuildView> view() const { return make_live_view(slave_.get(), {}); }

  Fd master_;
  Fd slave_;
  fakes::VirtualTerminal shown_{60, 12};
  std::size_t bytes_ = 0;
};

TEST_F(LiveViews, ShowABuildAndItsEnd) {
  const auto view = this->view();
  for (const auto& timed : fakes::recorded_build()) {
    view->emit(timed.event);
  }
  EXPECT_TRUE(shows("▸ [web 4/4] RUN npm ci"));
  EXPECT_TRUE(shows("✓ [web 3/4] COPY . ."));
  const auto events = fakes::recorded_success();
  beside_reader([&] {
    view->emit(domain::StepFinished{9, "[web 4/4] RUN npm ci", false, "", 3s});
    view->finish(fakes::recorded_summary(events, BuildEnd::succeeded));
  });
  EXPECT_TRUE(shown_.faults().empty()) << shown_.faults().front();
  EXPECT_TRUE(shown_.is_at_rest());
  EXPECT_THAT(shown_.all(), Contains(HasSubstr("Built in 13.0s")));
  EXPECT_THAT(shown_.all(), Contains("✓ [web 3/4] COPY . .").Times(0))
      << "times stand at the right";
  for (const std::string& row : shown_.all()) {
    EXPECT_FALSE(row.starts_with("▸")) << row;
  }
}

TEST_F(LiveViews, FollowTheSizeOfTheTerminal) {
  const auto view = this->view();
  view->emit(domain::StepStarted{1, "RUN a"});
  const auto ends_at = [this](std::size_t column) {
    return [this, column] {
      const auto rows = shown_.screen();
      return !rows.empty() && width_of(rows.front()) == column;
    };
  };
  ASSERT_TRUE(shows(ends_at(60)));
  resize(40, 6);
  EXPECT_TRUE(shows(ends_at(40))) << "without an event";
  resize(90, 20);
  EXPECT_TRUE(shows(ends_at(90)));
  beside_reader([&] { view->finish({.result = "x"}); });
  EXPECT_THAT(shown_.all(), ElementsAre("", "Built in 0.0s: x"));
}

TEST_F(LiveViews, DrawNothingWhileNothingChanges) {
  const auto view = this->view();
  view->emit(domain::StepStarted{1, "RUN a"});
  ASSERT_TRUE(shows("2s, 1 running"));
  const std::size_t before = bytes_;
  for (int i = 0; i < 1'000; ++i) {
    view->emit(domain::Activity{});
  }
  ASSERT_TRUE(shows("3s, 1 running"));
  EXPECT_LT(bytes_ - before, 1'000U) << "one frame, for the second";
}

TEST_F(LiveViews, LeaveNoFrameWhenTheyAreGivenUp) {
  {
    auto view = this->view();
    view->emit(domain::StepFinished{1, "RUN a", false, "", 1s});
    view->emit(domain::StepStarted{2, "RUN b"});
    ASSERT_TRUE(shows("▸ RUN b"));
    beside_reader([&] { view.reset(); });
  }
  EXPECT_TRUE(shown_.is_at_rest());
  const auto rows = shown_.all();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_THAT(rows[0], HasSubstr("✓ RUN a"));
  EXPECT_THAT(rows[1], HasSubstr("- RUN b"));
}

TEST_F(LiveViews, EraseWhatThePersonHasTyped) {
  const auto view = this->view();
  view->emit(domain::StepStarted{1, "RUN a"});
  ASSERT_TRUE(shows("▸ RUN a"));
  ASSERT_EQ(::write(master_.get(), "typed", 5), 5);
  EXPECT_TRUE(shows("typed"));
  beside_reader([&] { view->finish({.end = BuildEnd::aborted, .result = "by Ctrl+C"}); });
  for (const std::string& row : shown_.all()) {
    EXPECT_THAT(row, testing::Not(HasSubstr("typed")));
  }
  EXPECT_THAT(shown_.all(), Contains("Aborted after 0.0s: by Ctrl+C"));
}

TEST_F(LiveViews, DoNotHoldABuildWhoseTerminalIsGone) {
  auto view = this->view();
  view->emit(domain::StepStarted{1, "RUN a"});
  ASSERT_TRUE(shows("▸ RUN a"));
  master_.reset();
  for (int i = 0; i < 100; ++i) {
    view->emit(domain::StepOutput{1, false, "x\n"});
  }
  view->finish({.result = "x"});
  view.reset();
}

}  // namespace
}  // namespace builder::app::cli
