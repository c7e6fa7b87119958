#include "base/subprocess.hpp"

#include "base/fd.hpp"
#include "base/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <future>
#include <string>
#include <thread>

namespace builder {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Ran {
  Result<Finished> finished;
  std::string out;
  std::string err;
  Clock::duration took{};
};

Ran run(Command command, const std::stop_token& stop = {},
        SteadyTime deadline = SteadyTime::max()) {
  command.environment.emplace_back("PATH=/usr/bin:/bin");
  std::string out;
  std::string err;
  const auto started = Clock::now();
  auto finished = run_process(
      command, [&](std::string_view chunk) { out += chunk; },
      [&](std::string_view chunk) { err += chunk; }, stop, deadline);
  return {std::move(finished), std::move(out), std::move(err), Clock::now() - started};
}

Ran shell(const std::string& script, const std::stop_token& stop = {},
          SteadyTime deadline = SteadyTime::max()) {
  return run({.arguments = {"sh", "-c", script}, .environment = {}, .directory = {}, .input = {}},
             stop, deadline);
}

TEST(Subprocess, AProgramGetsNoMoreMemoryThanItMay) {
  // tail(1) keeps a line whole, and zeros have no end of one.
  const std::string script = "head -c 100000000 /dev/zero | tail -n 1 | wc -c";
  EXPECT_EQ(shell(script).out, "100000000\n");
  // The bound comes a moment behind the start; what is started before has none.
  const std::string bounded =
      "i=0; while [ \"$(ulimit -d)\" = unlimited ] && [ $i -lt 5000 ]; do i=$((i+1)); done; " +
      script;
  const Ran bound =
      run({.arguments = {"sh", "-c", bounded}, .environment = {}, .largest_memory = 50'000'000});
  EXPECT_NE(bound.out, "100000000\n");
  EXPECT_THAT(bound.err, testing::HasSubstr("memory"));
}

int open_descriptors() {
  int count = 0;
  DIR* directory = ::opendir("/proc/self/fd");
  while (::readdir(directory) != nullptr) {
    ++count;
  }
  ::closedir(directory);
  return count;
}

/// Gone, or dead and waiting for its adoptive parent.
bool is_dead(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  return name_end == std::string::npos || line.substr(name_end + 2, 1) == "Z";
}

bool dies(const std::string& pid) {
  for (const auto until = Clock::now() + 1s; Clock::now() < until; ::usleep(1'000)) {
    if (is_dead(pid)) {
      return true;
    }
  }
  return false;
}

TEST(Subprocess, GivesOutputAndExitCode) {
  const Ran ran = shell("echo out; echo err >&2; exit 7");
  ASSERT_TRUE(ran.finished);
  EXPECT_EQ(ran.finished->exit_code, 7);
  EXPECT_EQ(ran.out, "out\n");
  EXPECT_EQ(ran.err, "err\n");
}

TEST(Subprocess, ReportsASignalAs128AndMore) {
  const Ran ran = shell("kill -SEGV $$");
  ASSERT_TRUE(ran.finished);
  EXPECT_EQ(ran.finished->exit_code, 128 + SIGSEGV);
}

TEST(Subprocess, ReportsAProgramThatDoesNotExist) {
  const Ran ran =
      run({.arguments = {"no-such-program-here"}, .environment = {}, .directory = {}, .input = {}});
  ASSERT_FALSE(ran.finished);
  EXPECT_EQ(ran.finished.error().kind, ErrorKind::not_found);
}

TEST(Subprocess, PassesArgumentsUntouched) {
  const std::string nasty = "a b;c $(touch x) `id` \" ' \\ *";
  const Ran ran =
      run({.arguments = {"printf", "%s", nasty}, .environment = {}, .directory = {}, .input = {}});
  ASSERT_TRUE(ran.finished);
  EXPECT_EQ(ran.out, nasty);
}

TEST(Subprocess, PassesOnlyTheGivenEnvironment) {
  ::setenv("BUILDER_TEST_SECRET", "planted", 1);
  const Ran ran = run({.arguments = {"env"}, .environment = {"A=1"}, .directory = {}, .input = {}});
  ::unsetenv("BUILDER_TEST_SECRET");
  EXPECT_EQ(ran.out, "A=1\nPATH=/usr/bin:/bin\n");
}

TEST(Subprocess, GivesInputOrTheNullDevice) {
  EXPECT_EQ(run({.arguments = {"cat"}, .environment = {}, .directory = {}, .input = "hello"}).out,
            "hello");
  EXPECT_EQ(shell("readlink /proc/self/fd/0").out, "/dev/null\n");
}

TEST(Subprocess, LeaksNoDescriptorToTheProgramNorToUs) {
  const Fd inheritable(
      ::open("/dev/null", O_RDONLY));  // NOLINT: without CLOEXEC, as a library would
  const int before = open_descriptors();
  // ls holds the three standard ones and the folder it reads.
  EXPECT_EQ(shell("ls /proc/self/fd | wc -l").out, "4\n");
  [[maybe_unused]] const Ran stopped = shell("sleep 5", {}, Clock::now() + 20ms);
  [[maybe_unused]] const Ran missing =
      run({.arguments = {"no-such-program-here"}, .environment = {}, .directory = {}, .input = {}});
  EXPECT_EQ(open_descriptors(), before);
}

TEST(Subprocess, KeepsAHeldLockForTheProgramsOwnChildren) {
  auto folder = TempDir::make(::testing::TempDir(), "held");
  ASSERT_TRUE(folder);
  const std::string path = folder->path() + "/lock";
  Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
  const Fd other(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  auto coprocess = Coprocess::start({.arguments = {"sh", "-c", "(echo begun; read line)"},
                                     .environment = {"PATH=/usr/bin:/bin"},
                                     .directory = {},
                                     .input = {},
                                     .held = lock.get()});
  ASSERT_TRUE(coprocess);
  std::array<char, 16> begun{};
  ASSERT_TRUE(coprocess->read(begun, {}, Clock::now() + 10s));
  lock.reset();
  EXPECT_NE(::flock(other.get(), LOCK_EX | LOCK_NB), 0);
  {
    const Coprocess ended = *std::move(coprocess);
  }
  // The kernel closes what a killed grandchild held in its own time.
  const auto until = Clock::now() + 10s;
  while (::flock(other.get(), LOCK_EX | LOCK_NB) != 0 && Clock::now() < until) {
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_EQ(::flock(other.get(), LOCK_EX | LOCK_NB), 0);
}

TEST(Subprocess, StartsWithDefaultSignalsUnblocked) {
  sigset_t blocked;
  sigset_t old;
  ::sigfillset(&blocked);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &old);
  const auto handler = ::signal(SIGPIPE, SIG_IGN);
  const Ran ran = shell("grep -E 'SigBlk|SigIgn' /proc/self/status | tr -d '\\t'");
  ::signal(SIGPIPE, handler);
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  // 32 and 33 are the C library's own.
  EXPECT_EQ(ran.out, "SigBlk:0000000000000000\nSigIgn:0000000180000000\n");
}

TEST(Subprocess, StopKillsTheWholeGroupEvenWhenItIgnoresTheRequest) {
  std::stop_source source;
  std::string grandchild;
  const Command command{
      .arguments = {"sh", "-c", "trap '' TERM; sleep 60 & echo $!; wait; sleep 60"},
      .environment = {"PATH=/usr/bin:/bin"},
      .directory = {},
      .input = {}};
  Clock::time_point stopped;
  const auto finished = run_process(
      command,
      [&](std::string_view chunk) {
        grandchild = chunk.substr(0, chunk.find('\n'));
        stopped = Clock::now();
        source.request_stop();
      },
      {}, source.get_token(), SteadyTime::max());
  EXPECT_LT(Clock::now() - stopped, 1s);
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().kind, ErrorKind::cancelled);
  EXPECT_TRUE(dies(grandchild));
}

TEST(Subprocess, EndsAtOnceWhenStoppedBefore) {
  std::stop_source source;
  source.request_stop();
  const Ran ran = shell("sleep 60", source.get_token());
  ASSERT_FALSE(ran.finished);
  EXPECT_EQ(ran.finished.error().kind, ErrorKind::cancelled);
  EXPECT_LT(ran.took, 1s);
}

TEST(Subprocess, EndsAtTheDeadline) {
  const Ran ran = shell("sleep 60", {}, Clock::now() + 50ms);
  ASSERT_FALSE(ran.finished);
  EXPECT_EQ(ran.finished.error().kind, ErrorKind::timed_out);
  EXPECT_LT(ran.took, 1s);
}

TEST(Subprocess, EndsAtTheDeadlineWhileOutputFloods) {
  std::size_t seen = 0;
  const Command command{
      .arguments = {"yes"}, .environment = {"PATH=/usr/bin:/bin"}, .directory = {}, .input = {}};
  const auto started = Clock::now();
  const auto finished = run_process(
      command, [&](std::string_view chunk) { seen += chunk.size(); }, {}, {}, started + 100ms);
  ASSERT_FALSE(finished);
  EXPECT_EQ(finished.error().kind, ErrorKind::timed_out);
  EXPECT_LT(Clock::now() - started, 1s);
  EXPECT_GT(seen, 0U);
}

TEST(Subprocess, DeliversTenMegabytesInBoundedChunks) {
  std::size_t total = 0;
  std::size_t largest = 0;
  const Command command{.arguments = {"head", "-c", "10485760", "/dev/zero"},
                        .environment = {"PATH=/usr/bin:/bin"},
                        .directory = {},
                        .input = {}};
  const auto finished = run_process(
      command,
      [&](std::string_view chunk) {
        total += chunk.size();
        largest = std::max(largest, chunk.size());
      },
      {}, {}, SteadyTime::max());
  ASSERT_TRUE(finished);
  EXPECT_EQ(total, 10'485'760U);
  EXPECT_LE(largest, 64U * 1024);
}

TEST(Subprocess, DoesNotWaitForAGrandchildThatKeepsThePipe) {
  const Ran ran = shell("sleep 60 & echo $!");
  ASSERT_TRUE(ran.finished);
  EXPECT_EQ(ran.finished->exit_code, 0);
  EXPECT_LT(ran.took, 2s);
  EXPECT_TRUE(dies(ran.out.substr(0, ran.out.find('\n'))));
}

TEST(Subprocess, DoesNotWaitForAGrandchildThatFloodsThePipe) {
  const Ran ran = shell("yes & exit 3");
  ASSERT_TRUE(ran.finished);
  EXPECT_EQ(ran.finished->exit_code, 3);
  EXPECT_LT(ran.took, 2s);
}

TEST(Subprocess, WaitsForAProgramThatClosedItsOutput) {
  const Ran ran = shell("exec >&- 2>&-; sleep 0.1; exit 5");
  ASSERT_TRUE(ran.finished);
  EXPECT_EQ(ran.finished->exit_code, 5);
  EXPECT_GE(ran.took, 100ms);
}

TEST(Subprocess, LimitsTheSizeOfFiles) {
  Command command{.arguments = {"sh", "-c",
                                "sleep 0.05; head -c 4096 /dev/zero > /dev/shm/builder-limit.$$; "
                                "echo $?; rm -f /dev/shm/builder-limit.$$"},
                  .environment = {},
                  .directory = {},
                  .input = {}};
  command.largest_file = 1024;
  const Ran ran = run(command);
  EXPECT_EQ(ran.out, std::to_string(128 + SIGXFSZ) + "\n");
}

TEST(Subprocess, LeavesNothingBehindWhenTheSinkThrows) {
  std::string pid;
  const Command command{.arguments = {"sh", "-c", "echo $$; sleep 60"},
                        .environment = {"PATH=/usr/bin:/bin"},
                        .directory = {},
                        .input = {}};
  EXPECT_THROW(static_cast<void>(run_process(
                   command,
                   [&](std::string_view chunk) {
                     pid = chunk.substr(0, chunk.find('\n'));
                     throw std::runtime_error("sink");
                   },
                   {}, {}, SteadyTime::max())),
               std::runtime_error);
  EXPECT_TRUE(dies(pid));
}

}  // namespace
}  // namespace builder
