#include "adapters/buildkit/client/http_upgrade.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>

#include <array>
#include <chrono>
#include <string>
#include <thread>

namespace builder::adapters::buildkit {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

struct Pair {
  Pair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()), 0);
    ours = Fd(fds[0]);
    peer = Fd(fds[1]);
  }

  void write(std::string_view data) const {
    EXPECT_EQ(::send(peer.get(), data.data(), data.size(), 0), static_cast<ssize_t>(data.size()));
  }

  [[nodiscard]] std::string rest() const {
    std::array<char, 256> buffer{};
    const ssize_t count = ::recv(ours.get(), buffer.data(), buffer.size(), 0);
    return {buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0U};
  }

  Fd ours;
  Fd peer;
};

Result<std::string> read(const Pair& pair, milliseconds limit = milliseconds(2000)) {
  const StopFd stop{std::stop_token()};
  return read_header(pair.ours, stop, steady_clock::now() + limit);
}

TEST(UpgradeHeader, LeavesWhatFollowsInTheSocket) {
  const Pair pair;
  pair.write("HTTP/1.1 101 UPGRADED\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  EXPECT_EQ(read(pair).value(), "HTTP/1.1 101 UPGRADED\r\nUpgrade: h2c\r\n\r\n");
  EXPECT_EQ(pair.rest(), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}

TEST(UpgradeHeader, IsReadAcrossSplits) {
  const Pair pair;
  const std::string header = "HTTP/1.1 101 UPGRADED\r\nA: b\r\n\r\n";
  const std::jthread writer([&] {
    for (const char c : header + "x") {
      pair.write(std::string_view(&c, 1));
      std::this_thread::yield();
    }
  });
  EXPECT_EQ(read(pair).value(), header);
}

TEST(UpgradeHeader, RefusesGarbageAtOnce) {
  const Pair pair;
  pair.write("\x15\x03\x01");
  EXPECT_EQ(read(pair).error().kind, ErrorKind::internal);
}

TEST(UpgradeHeader, RefusesAnEndlessHeader) {
  const Pair pair;
  const std::jthread writer([&] {
    pair.write("HTTP/1.1 101 X\r\n");
    const std::string junk(4096, 'a');
    for (int i = 0; i < 64; ++i) {
      while (::send(pair.peer.get(), junk.data(), junk.size(), MSG_NOSIGNAL) < 0 &&
             errno == EAGAIN) {
        std::this_thread::yield();
      }
    }
  });
  EXPECT_EQ(read(pair).error().kind, ErrorKind::internal);
  ::shutdown(pair.ours.get(), SHUT_RDWR);
}

TEST(UpgradeHeader, SaysWhenThePeerHangsUp) {
  Pair pair;
  pair.write("HTTP/1.1 10");
  pair.peer.reset();
  EXPECT_EQ(read(pair).error().kind, ErrorKind::unavailable);
}

TEST(UpgradeHeader, EndsAtTheDeadline) {
  const Pair pair;
  pair.write("HTTP/1.1 101");
  EXPECT_EQ(read(pair, milliseconds(20)).error().kind, ErrorKind::timed_out);
}

TEST(UpgradeHeader, EndsOnStop) {
  const Pair pair;
  std::stop_source source;
  const StopFd stop(source.get_token());
  source.request_stop();
  const auto result = read_header(pair.ours, stop, SteadyTime::max());
  EXPECT_EQ(result.error().kind, ErrorKind::cancelled);
}

TEST(EngineConnection, SaysUnavailableWhenNobodyListens) {
  const StopFd stop{std::stop_token()};
  const auto soon = steady_clock::now() + milliseconds(500);
  const auto unix_socket =
      upgrade({.socket = "/nonexistent/x.sock", .host = {}, .port = {}}, "/grpc", {}, stop, soon);
  EXPECT_EQ(unix_socket.error().kind, ErrorKind::unavailable);
  const auto tcp =
      upgrade({.socket = {}, .host = "127.0.0.1", .port = "1"}, "/grpc", {}, stop, soon);
  EXPECT_EQ(tcp.error().kind, ErrorKind::unavailable);
}

}  // namespace

}  // namespace builder::adapters::buildkit
