#include "engine_fixture.hpp"

#include <gmock/gmock.h>

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

namespace builder::adapters::buildkit {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::AnyOf;
using testing::HasSubstr;
using testing::StartsWith;

class EngineFailureTest : public EngineTest {
 protected:
  std::string customer(const Files& files) {
    const auto built = build(files);
    EXPECT_FALSE(built);
    if (built) {
      return {};
    }
    EXPECT_EQ(built.error().kind, ErrorKind::build_failed) << built.error().message;
    EXPECT_LE(built.error().customer.size(), 191U);
    return built.error().customer;
  }
};

TEST_F(EngineFailureTest, NamesTheFailingCommandItsLineAndExitCode) {
  EXPECT_EQ(customer({{"Dockerfile", "FROM busybox\n# why\nRUN echo before && \\\n  exit 7\n"}}),
            "Dockerfile:3: \"RUN echo before && exit 7\" failed with exit code 7");
  EXPECT_TRUE(events.contains("ERROR > 3 | RUN echo before && \\"));
  EXPECT_THAT(events.output(), HasSubstr("before"));
}

TEST_F(EngineFailureTest, NamesTheLineOfASyntaxError) {
  EXPECT_THAT(customer({{"Dockerfile", "FROM busybox\n\nFORM x\n"}}),
              StartsWith("Dockerfile:3: unknown instruction: FORM"));
}

TEST_F(EngineFailureTest, NamesAMissingDockerfile) {
  EXPECT_EQ(customer({{"a", "a"}}), "Dockerfile was not found in the repository");
}

TEST_F(EngineFailureTest, NamesAMissingSource) {
  EXPECT_EQ(customer({{"Dockerfile", "FROM busybox\nCOPY nosuch.txt /\n"}}),
            "Dockerfile:2: \"nosuch.txt\" not found in the repository");
}

TEST_F(EngineFailureTest, TellsAnExcludedSourceLikeAMissingOne) {
  EXPECT_THAT(
      customer({{"Dockerfile", "FROM busybox\nCOPY a /\n"}, {".dockerignore", "a\n"}, {"a", "a"}}),
      HasSubstr(".dockerignore"));
}

TEST_F(EngineFailureTest, NamesAMissingSecret) {
  EXPECT_THAT(
      customer({{"Dockerfile", "FROM busybox\nRUN --mount=type=secret,id=tok,required=true echo " +
                                   fresh() + "\n"}}),
      HasSubstr("secret \"tok\""));
}

TEST_F(EngineFailureTest, NamesABaseImageThatCannotBeHad) {
  // Nothing listens on port 1: the registry is away. With a registry it is `build_failed`.
  const auto built = build({{"Dockerfile", "FROM 127.0.0.1:1/no/such:1\n"}});
  ASSERT_FALSE(built);
  EXPECT_THAT(built.error().kind, AnyOf(ErrorKind::unavailable, ErrorKind::build_failed));
  EXPECT_THAT(built.error().customer, StartsWith("Dockerfile:1: "));
  EXPECT_THAT(built.error().customer, HasSubstr("127.0.0.1:1/no/such:1"));
}

/// Lists a file that cannot be opened, or is shorter than listed.
class BrokenTree final : public ports::SourceTree {
 public:
  BrokenTree(std::shared_ptr<const ports::SourceTree> base, bool readable)
      : base_(std::move(base)), readable_(readable) {}

  Result<std::vector<ports::DirectoryEntry>> list(std::string_view path) const override {
    auto entries = base_->list(path);
    for (auto& entry : *entries) {
      entry.info = changed(entry.name, entry.info);
    }
    return entries;
  }

  Result<ports::FileInfo> stat(std::string_view path) const override { return base_->stat(path); }

  Result<std::unique_ptr<ports::FileReader>> open(std::string_view path) const override {
    if (path == "broken.bin" && !readable_) {
      return failure(ErrorKind::denied, "Permission denied");
    }
    return base_->open(path);
  }

  Result<std::string> read_link(std::string_view path) const override {
    return base_->read_link(path);
  }

 private:
  [[nodiscard]] ports::FileInfo changed(const std::string& name, ports::FileInfo info) const {
    if (name == "broken.bin" && readable_) {
      info.size += 10;
    }
    return info;
  }

  std::shared_ptr<const ports::SourceTree> base_;
  bool readable_;
};

TEST_F(EngineFailureTest, NamesAFileThatCannotBeReadOrChanges) {
  for (const bool readable : {false, true}) {
    const auto tree = std::make_shared<BrokenTree>(
        tree_of({{"Dockerfile", "FROM busybox\nCOPY . /s\n"}, {"broken.bin", fresh()}}), readable);
    const auto begin = steady_clock::now();
    const auto built = build(spec(tree));
    ASSERT_FALSE(built);
    EXPECT_THAT(built.error().customer, HasSubstr("broken.bin"));
    EXPECT_LT(steady_clock::now() - begin, seconds(30));
  }
}

TEST_F(EngineFailureTest, CancelsARunningStepAtOnceAndEndsItsProcess) {
  // How long the step sleeps; no other process of the machine has this in its command line.
  const std::string mark = "7" + std::to_string(1'000'000 + ::getpid());
  std::atomic<bool> running{false};
  events.on_line = [&running](const std::string& line) {
    running = running || (line.starts_with("out ") && line.contains("is running"));
  };
  std::optional<Result<Built>> built;
  steady_clock::time_point requested;
  std::jthread builder([&] {
    built = build({{"Dockerfile",
                    "FROM busybox\nRUN echo is running " + fresh() + "; sleep " + mark + "\n"}});
  });
  ASSERT_TRUE(eventually([&running] { return running.load(); }, seconds(30)));
  EXPECT_TRUE(process_exists(mark));
  requested = steady_clock::now();
  stop.request_stop();
  builder.join();
  EXPECT_LT(steady_clock::now() - requested, seconds(10));
  ASSERT_FALSE(*built);
  EXPECT_EQ(built->error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(eventually([&mark] { return !process_exists(mark); }, seconds(10)));
}

TEST_F(EngineFailureTest, EndsAtTheDeadline) {
  const auto begin = steady_clock::now();
  const auto built = build(
      *solver, job(seconds(3)),
      spec(tree_of({{"Dockerfile", "FROM busybox\nRUN sleep 98 # " + fresh() + "\n"}})), events);
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().kind, ErrorKind::timed_out) << built.error().message;
  EXPECT_LT(steady_clock::now() - begin, seconds(20));
}

TEST_F(EngineFailureTest, DoesNotStartWhenAlreadyStopped) {
  stop.request_stop();
  const auto built = build({{"Dockerfile", "FROM busybox\n"}});
  EXPECT_EQ(built.error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(events.lines().empty());
}

TEST_F(EngineFailureTest, CancelsWhileAHostileIgnoreFileIsMatched) {
  Files files{{"Dockerfile", "FROM busybox\nCOPY . /s\n"}};
  std::string ignore;
  std::string line;
  for (int k = 0; k < 40; ++k) {
    line += "*a";
  }
  for (int i = 0; i < 10'000; ++i) {
    ignore += "d/" + line + "z" + std::to_string(i) + "*\n";
  }
  files.emplace_back(".dockerignore", ignore);
  for (int i = 0; i < 1000; ++i) {
    files.emplace_back("d/" + std::string(150, 'a') + std::to_string(i), "");
  }
  std::optional<Result<Built>> built;
  std::atomic<bool> loading{false};
  events.on_line = [&loading](const std::string& event) {
    loading = loading || event.contains("load build context");
  };
  std::jthread builder([&] { built = build(files); });
  ASSERT_TRUE(eventually([&loading] { return loading.load(); }, seconds(30)));
  std::this_thread::sleep_for(milliseconds(300));
  const auto requested = steady_clock::now();
  stop.request_stop();
  builder.join();
  EXPECT_LT(steady_clock::now() - requested, seconds(10));
  EXPECT_EQ(built->error().kind, ErrorKind::cancelled);
}

/// Passes connections on to the engine until it is told to cut them all, as a dying engine does.
class Proxy {
 public:
  explicit Proxy(const std::string& engine) : target_(engine.substr(7)) {
    std::string folder = (std::filesystem::temp_directory_path() / "proxy-XXXXXX").string();
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    open();
  }

  ~Proxy() {
    close();
    std::filesystem::remove_all(folder_);
  }

  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  [[nodiscard]] std::string host() const { return "unix://" + (folder_ / "s").string(); }

  void open() {
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = named((folder_ / "s").string());
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    acceptor_ = std::jthread([this](const std::stop_token& stop) { accept(stop); });
  }

  void close() {
    acceptor_.request_stop();
    ::shutdown(listener_.get(), SHUT_RDWR);
    acceptor_ = {};
    listener_.reset();
    std::filesystem::remove(folder_ / "s");
    pumps_.clear();
  }

 private:
  static sockaddr_un named(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
  }

  void accept(const std::stop_token& stop) {
    for (;;) {
      Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!client || stop.stop_requested()) {
        return;
      }
      Fd engine(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_un address = named(target_);
      ::connect(engine.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
      pumps_.emplace_back([a = std::move(client),
                           b = std::move(engine)](const std::stop_token& cut) { pump(a, b, cut); });
    }
  }

  static void pump(const Fd& a, const Fd& b, const std::stop_token& cut) {
    const StopFd stop(cut);
    std::vector<char> buffer(65536);
    for (;;) {
      std::array<pollfd, 2> ends{pollfd{a.get(), POLLIN, 0}, pollfd{b.get(), POLLIN, 0}};
      if (wait_any(ends, stop, SteadyTime::max()) == WaitResult::stopped) {
        return;
      }
      for (std::size_t i = 0; i < 2; ++i) {
        if (ends[i].revents == 0) {
          continue;
        }
        const ssize_t count = ::recv(ends[i].fd, buffer.data(), buffer.size(), 0);
        if (count <= 0 || ::send(ends[1 - i].fd, buffer.data(), static_cast<std::size_t>(count),
                                 MSG_NOSIGNAL) != count) {
          return;
        }
      }
    }
  }

  std::string target_;
  std::filesystem::path folder_;
  Fd listener_;
  std::vector<std::jthread> pumps_;
  std::jthread acceptor_;
};

class LostEngineTest : public EngineFailureTest {
 protected:
  void SetUp() override {
    EngineFailureTest::SetUp();
    if (engine.starts_with("unix://")) {
      proxy.emplace(engine);
      engine = proxy->host();
      solver = make_solver();
    } else {
      GTEST_SKIP() << "the proxy speaks to unix sockets only";
    }
  }

  void TearDown() override { solver.reset(); }

  /// Starts a build and runs `during` once its step runs.
  Result<Built> build_and(const std::function<void()>& during) {
    std::atomic<bool> running{false};
    events.on_line = [&running](const std::string& line) {
      running = running || (line.starts_with("out ") && line.contains("is running"));
    };
    std::optional<Result<Built>> built;
    std::jthread builder([&] {
      built =
          build({{"Dockerfile", "FROM busybox\nRUN echo is running " + fresh() + "; sleep 2\n"}});
    });
    EXPECT_TRUE(eventually([&running] { return running.load(); }, seconds(30)));
    during();
    builder.join();
    events.on_line = nullptr;
    return *std::move(built);
  }

  std::optional<Proxy> proxy;
};

TEST_F(LostEngineTest, BuildsAgainWhenTheEngineReturns) {
  const auto built = build_and([this] {
    proxy->close();
    std::this_thread::sleep_for(milliseconds(700));
    proxy->open();
  });
  ASSERT_TRUE(built) << built.error().message;
  EXPECT_TRUE(events.contains("WARNING The build engine went away"));
  EXPECT_TRUE(events.contains("WARNING The build engine is back"));
}

TEST_F(LostEngineTest, IsNotWaitedForInTheLastAttempt) {
  attempt = domain::k_most_attempts;
  const auto built = build_and([this] { proxy->close(); });
  ASSERT_FALSE(built);
  EXPECT_EQ(built.error().kind, ErrorKind::unavailable);
  EXPECT_FALSE(events.contains("WARNING The build engine went away"));
  proxy->open();
}

TEST_F(LostEngineTest, StopsWaitingForTheEngineWhenCancelled) {
  std::jthread stopper;
  const auto begin = steady_clock::now();
  const auto built = build_and([&] {
    proxy->close();
    stopper = std::jthread([this] {
      std::this_thread::sleep_for(milliseconds(500));
      stop.request_stop();
    });
  });
  EXPECT_EQ(built.error().kind, ErrorKind::cancelled);
  EXPECT_LT(steady_clock::now() - begin, seconds(20));
  proxy->open();
}

TEST_F(LostEngineTest, ReplacesAControlConnectionThatBrokeBetweenBuilds) {
  const Files files{{"Dockerfile", "FROM busybox\nCOPY . /x\n"}};
  ASSERT_TRUE(build(files));
  proxy->close();
  proxy->open();
  const auto built = build(files);
  ASSERT_TRUE(built) << built.error().message;
  EXPECT_FALSE(events.contains("WARNING"));
}

TEST_F(EngineFailureTest, SaysUnavailableWhenNoEngineListens) {
  engine = "unix:///nonexistent/engine.sock";
  return_limit = seconds(1);
  const auto other = make_solver();
  const auto built =
      build(*other, job(), spec(tree_of({{"Dockerfile", "FROM busybox\n"}})), events);
  EXPECT_EQ(built.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(built.error().customer, HasSubstr("please deploy again"));
  EXPECT_TRUE(events.contains("WARNING The build engine cannot be reached"));
}

}  // namespace

}  // namespace builder::adapters::buildkit
