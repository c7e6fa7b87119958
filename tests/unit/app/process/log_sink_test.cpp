#include "app/process/log_sink.hpp"

#include "base/fd.hpp"
#include "base/temp_dir.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <iterator>
#include <string>

namespace builder::app {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

/// Both kinds of descriptor a service manager gives: {where it is read, where it is written}.
std::array<Fd, 2> channel(bool is_socket) {
  std::array<int, 2> ends{};
  EXPECT_EQ(is_socket ? ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) : ::pipe(ends.data()),
            0);
  return {Fd(ends[0]), Fd(ends[1])};
}

std::string read_all(const Fd& fd) {
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  std::string all;
  std::array<char, 4096> buffer{};
  for (ssize_t count = 0; (count = ::read(fd.get(), buffer.data(), buffer.size())) > 0;) {
    all.append(buffer.data(), static_cast<std::size_t>(count));
  }
  return all;
}

class ServiceLogTest : public testing::TestWithParam<bool> {
 protected:
  SecretStore secrets_;
  std::array<Fd, 2> channel_ = channel(GetParam());
  std::shared_ptr<ServiceLog> sink_ = make_service_log({}, secrets_, channel_[1].get());
  Log log_{sink_};
};

TEST_P(ServiceLogTest, WritesALineAtOnce) {
  log_.info("one {}", 1);
  EXPECT_THAT(read_all(channel_[0]), HasSubstr("info    one 1\n"));
  EXPECT_EQ(sink_->trouble(), "");
}

TEST_P(ServiceLogTest, AReaderThatStallsHoldsNobodyUpAndIsToldWhatItMissed) {
  constexpr int k_lines = 3'000;
  for (int i = 0; i < k_lines; ++i) {
    log_.info("line {} {}", i, std::string(1'000, 'x'));
  }
  EXPECT_THAT(sink_->trouble(), HasSubstr("stalled"));
  EXPECT_GT(sink_->dropped(), 1'000U);
  std::string text;
  for (std::string part; !(part = read_all(channel_[0])).empty();) {
    text += part;
    [[maybe_unused]] const std::string flows = sink_->trouble();
  }
  log_.info("goes on");
  text += read_all(channel_[0]);
  EXPECT_THAT(text, HasSubstr("line 500 "));
  EXPECT_THAT(text, HasSubstr(" lines of this log were dropped"));
  EXPECT_THAT(text, HasSubstr("goes on"));
  EXPECT_EQ(sink_->trouble(), "");
  for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos;
       at = end + 1) {
    ASSERT_LT(end - at, 1'200U) << "whole lines only";
  }
}

TEST_P(ServiceLogTest, AReaderThatIsGoneHoldsNobodyUp) {
  ::signal(SIGPIPE, SIG_IGN);
  channel_[0].reset();
  for (int i = 0; i < 3'000; ++i) {
    log_.info("{}", std::string(1'000, 'x'));
  }
  EXPECT_THAT(sink_->trouble(), HasSubstr("Broken pipe, 3000 lines were dropped"));
  EXPECT_EQ(sink_->dropped(), 3'000U);
}

TEST_P(ServiceLogTest, TakesSecretsOutOfMessagesAndFields) {
  secrets_.add_forever({{"API_KEY", Secret("tops3cret-Qx7/vB9mW2")}});
  for (const LogFormat format : {LogFormat::text, LogFormat::json, LogFormat::journald}) {
    const auto sink = make_service_log({.format = format, .journal = "/nonexistent/socket"},
                                       secrets_, channel_[1].get());
    Log(sink).with("service", "of tops3cret-Qx7/vB9mW2").info("key tops3cret-Qx7/vB9mW2");
    const std::string line = read_all(channel_[0]);
    EXPECT_THAT(line, Not(HasSubstr("tops3cret")));
    EXPECT_THAT(line, HasSubstr("key [REDACTED]"));
  }
}

TEST_P(ServiceLogTest, WithoutAJournalGoesToTheDescriptorWithPriorities) {
  const auto sink =
      make_service_log({.format = LogFormat::journald, .journal = "/nonexistent/socket"}, secrets_,
                       channel_[1].get());
  Log(sink).with("deployment", "d1").warning("slow");
  EXPECT_EQ(read_all(channel_[0]), "<4>deployment=d1 slow\n");
}

INSTANTIATE_TEST_SUITE_P(Channels, ServiceLogTest, testing::Bool());

/// journald as far as a writer sees it.
class JournalTest : public testing::Test {
 protected:
  JournalTest() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::ranges::copy(path_, std::begin(address.sun_path));
    EXPECT_EQ(::bind(daemon_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
  }

  std::shared_ptr<ServiceLog> log() {
    return make_service_log({.format = LogFormat::journald, .journal = path_}, secrets_, -1);
  }

  std::string datagram() const {
    std::array<char, 1U << 17U> buffer{};
    const ssize_t size = ::recv(daemon_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return size < 0 ? std::string() : std::string(buffer.data(), static_cast<std::size_t>(size));
  }

  const TempDir folder_ = *TempDir::make(::testing::TempDir(), "journal-");
  const std::string path_ = folder_.path() + "/socket";
  Fd daemon_{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  SecretStore secrets_;
};

TEST_F(JournalTest, GetsADatagramForEachEvent) {
  const auto sink = log();
  Log(sink).with("deployment", "d1").error("broken");
  EXPECT_EQ(datagram(),
            "PRIORITY=3\nSYSLOG_IDENTIFIER=deployra-builder\nMESSAGE=broken\nDEPLOYMENT=d1\n");
  EXPECT_EQ(datagram(), "");
}

TEST_F(JournalTest, ThatStopsReadingHoldsNobodyUpAndIsToldWhatItMissed) {
  const auto sink = log();
  for (int i = 0; i < 3'000; ++i) {
    Log(sink).info("line {} {}", i, std::string(1'000, 'x'));
  }
  EXPECT_THAT(sink->trouble(), HasSubstr("stalled"));
  EXPECT_GT(sink->dropped(), 1'000U);
  std::string last;
  for (std::string next; !(next = datagram()).empty(); last = next) {
    [[maybe_unused]] const std::string flows = sink->trouble();
  }
  EXPECT_THAT(last, HasSubstr(" lines of this log were dropped: its reader has stalled"));
  EXPECT_EQ(sink->trouble(), "");
}

TEST_F(JournalTest, ThatIsGoneIsSaidAndComesBack) {
  const auto sink = log();
  daemon_.reset();
  Log(sink).info("nobody hears it");
  EXPECT_THAT(sink->trouble(), HasSubstr("Connection refused, 1 lines were dropped"));
}

}  // namespace
}  // namespace builder::app
