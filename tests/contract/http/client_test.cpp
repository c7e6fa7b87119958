// What the client makes of an answer that does not arrive whole, and when it holds a request back.
#include "adapters/http/client.hpp"

#include "base/fd.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <string>
#include <thread>

namespace builder::adapters::http {
namespace {

/// Answers each connection's first request with the given bytes and closes it.
class RawServer {
 public:
  RawServer() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(::bind(listener_.get(), raw, size), 0);
    EXPECT_EQ(::listen(listener_.get(), 16), 0);
    EXPECT_EQ(::getsockname(listener_.get(), raw, &size), 0);
    url_ = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
  }

  [[nodiscard]] const std::string& url() const { return url_; }

  /// What came of the request.
  std::string answer_once(const std::string& bytes) const {
    const Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::string request;
    std::array<char, 4096> buffer{};
    while (!request.contains("\r\n\r\n")) {
      const ssize_t count = ::recv(client.get(), buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        return request;
      }
      request.append(buffer.data(), static_cast<std::size_t>(count));
    }
    ::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return request;
  }

 private:
  Fd listener_;
  std::string url_;
};

class CutAnswerTest : public testing::TestWithParam<const char*> {};

TEST_P(CutAnswerTest, IsNoAnswerHoweverMuchOfItCame) {
  const RawServer server;
  const auto client = make_client();
  const std::string whole = GetParam();
  // A last chunk that lacks its last byte only is the end all the same.
  const std::size_t enough =
      whole.ends_with("0\r\n\r\n") && whole.contains("chunked") ? whole.size() - 1 : whole.size();
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const std::jthread peer([&] { server.answer_once(whole.substr(0, size)); });
    const auto response =
        client->send({.url = server.url(), .headers = {}, .direct = true}, {}, SteadyTime::max());
    if (size >= enough) {
      ASSERT_TRUE(response) << response.error().message;
      EXPECT_EQ(response->status, 400);
    } else {
      ASSERT_FALSE(response) << size << " bytes: " << response->status;
      EXPECT_EQ(response.error().kind, ErrorKind::unavailable) << response.error().message;
      EXPECT_EQ(response.error().effect, Effect::possible);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Forms, CutAnswerTest,
    testing::Values("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
                    "Content-Length: 13\r\n\r\n{\"error\":\"x\"}",
                    "HTTP/1.1 400 Bad Request\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "d\r\n{\"error\":\"x\"}\r\n0\r\n\r\n",
                    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400 Bad Request\r\n"
                    "Content-Length: 0\r\n\r\n"));

TEST(HeldBackRequest, SendsNothing) {
  const RawServer server;
  const auto client = make_client();
  std::string read;
  std::jthread peer([&] {
    read = server.answer_once("");
    server.answer_once("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  });
  Request request{.method = Method::post, .url = server.url(), .body = "status"};
  int asked = 0;
  request.may_send = [&] { return ++asked > 1; };
  const auto held = client->send(request, {}, SteadyTime::max());
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().kind, ErrorKind::conflict);
  EXPECT_EQ(held.error().effect, Effect::unreached);
  EXPECT_EQ(client->failures().surely_not_sent, 0u) << "no failure of the peer's";
  const auto sent = client->send(request, {}, SteadyTime::max());
  ASSERT_TRUE(sent) << sent.error().message;
  EXPECT_EQ(sent->body, "ok");
  peer.join();
  EXPECT_EQ(read, "");
  EXPECT_EQ(asked, 2);
}

}  // namespace
}  // namespace builder::adapters::http
