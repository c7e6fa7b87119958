#include "app/process/log_sink.hpp"

#include "base/fd.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>

namespace builder::app {
namespace {

using ::testing::HasSubstr;

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
  std::shared_ptr<ServiceLog> sink_ = make_service_log(LogLevel::info, secrets_, channel_[1].get());
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

INSTANTIATE_TEST_SUITE_P(Channels, ServiceLogTest, testing::Bool());

}  // namespace
}  // namespace builder::app
