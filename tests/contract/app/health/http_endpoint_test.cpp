#include "app/health/http_endpoint.hpp"

#include "adapters/http/client.hpp"
#include "base/fd.hpp"

#include <gtest/gtest.h>

#include <malloc.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <fstream>
#include <iostream>
#include <thread>

namespace builder::app {
namespace {

using adapters::http::Method;
using adapters::http::Response;

class HttpEndpointTest : public testing::TestWithParam<const char*> {
 protected:
  Response get(const std::string& path, Method method = Method::get, std::string body = {}) {
    const std::string host = GetParam();
    return client_
        ->send({.method = method,
                .url = "http://" + host + ":" + std::to_string(endpoint_->port()) + path,
                .headers = {},
                .body = std::move(body),
                .direct = true},
               {}, SteadyTime::max())
        .value();
  }

  std::vector<std::string> reasons_;
  std::vector<std::string> warnings_;
  std::unique_ptr<HttpEndpoint> endpoint_ =
      HttpEndpoint::start(std::string(GetParam()) + ":0",
                          {.not_ready_reasons = [this] { return reasons_; },
                           .warnings = [this] { return warnings_; },
                           .metrics = [] { return std::string("a_metric 1\n"); }})
          .value();
  std::unique_ptr<adapters::http::Client> client_ = adapters::http::make_client();
};

TEST_P(HttpEndpointTest, AnswersWhetherItLivesIsReadyAndHowMuchItDid) {
  EXPECT_EQ(get("/healthz").status, 200);
  EXPECT_EQ(get("/readyz").body, "ready\n");
  EXPECT_EQ(get("/metrics").body, "a_metric 1\n");
  EXPECT_TRUE(get("/metrics").header("Content-Type")->starts_with("text/plain; version=0.0.4"));
  warnings_ = {"mend this"};
  EXPECT_EQ(get("/readyz").status, 200);
  EXPECT_EQ(get("/readyz").body, "ready\nwarning: mend this\n");
  warnings_.clear();
  reasons_ = {"redis: away", "draining"};
  EXPECT_EQ(get("/readyz").status, 503);
  EXPECT_EQ(get("/readyz").body, "redis: away\ndraining\n");
  EXPECT_EQ(get("/healthz").status, 200);
}

TEST_P(HttpEndpointTest, KnowsNothingElse) {
  EXPECT_EQ(get("/").status, 404);
  EXPECT_EQ(get("/history").status, 404) << "there is none without a token";
  EXPECT_EQ(get("/healthz/../x").status, 404);
  EXPECT_EQ(get("/healthz", Method::post, "x").status, 405);
  EXPECT_EQ(get("/metrics", Method::post, std::string(1 << 20, 'x')).status, 405);
}

TEST_P(HttpEndpointTest, AnAddressThatIsTakenIsSaid) {
  const auto second = HttpEndpoint::start(
      std::string(GetParam()) + ":" + std::to_string(endpoint_->port()), EndpointPages{});
  ASSERT_FALSE(second);
  EXPECT_TRUE(second.error().message.contains("HTTP_LISTEN")) << second.error().message;
}

/// Clients that do what no library does.
class HostileClients : public testing::Test {
 protected:
  /// A connection that has sent `text`.
  Fd client(std::string_view text) const {
    Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(endpoint_->port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
    while (!text.empty()) {
      const ssize_t sent = ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        break;  // The answer came before all was sent.
      }
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
    return socket;
  }

  /// All that comes until the endpoint closes.
  static std::string all_of(const Fd& socket) {
    std::string text;
    std::array<char, 4'096> chunk;
    for (ssize_t count = 0; (count = ::recv(socket.get(), chunk.data(), chunk.size(), 0)) > 0;) {
      text.append(chunk.data(), static_cast<std::size_t>(count));
    }
    return text;
  }

  std::string answer(std::string_view text) const { return all_of(client(text)); }

  static std::size_t resident_memory() {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages >> pages;
    return pages * 4'096;
  }

  std::unique_ptr<HttpEndpoint> endpoint_ =
      HttpEndpoint::start("127.0.0.1:0",
                          {.not_ready_reasons = [] { return std::vector<std::string>(); },
                           .warnings = [] { return std::vector<std::string>(); },
                           .metrics = [] { return std::string(20'000, 'm') + "\n"; }})
          .value();
};

TEST_F(HostileClients, GetOneAnswerWhateverTheySend) {
  constexpr std::string_view k_ok = "HTTP/1.1 200 OK\r\n";
  for (const char* request :
       {"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /healthz HTTP/1.0\r\n\r\n",
        "GET /healthz HTTP/1.1\n\n", "GET http://a.test:1/healthz HTTP/1.1\r\n\r\n",
        "GET /healthz?x=1 HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n",
        "GET /healthz HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nx",
        "GET /healthz HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"}) {
    const std::string text = answer(request);
    EXPECT_TRUE(text.starts_with(k_ok) && text.ends_with("\r\n\r\nok\n")) << request << text;
  }
  const std::string head = answer("HEAD /metrics HTTP/1.1\r\n\r\n");
  EXPECT_TRUE(head.starts_with(k_ok) && head.contains("Content-Length: 20001\r\n") &&
              head.ends_with("\r\n\r\n"))
      << head;
  // No part of a page: the whole, once.
  EXPECT_LT(answer("GET /metrics HTTP/1.1\r\nRange: bytes=0-1,0-1,0-1,0-1\r\n\r\n").size(),
            21'000U);
  for (const auto& [request, status] :
       {std::pair("\r\n\r\n", 400), std::pair("GET\r\n\r\n", 400),
        std::pair("GET /healthz\r\n\r\n", 400), std::pair("GET /healthz SMTP\r\n\r\n", 400),
        std::pair("GET /../healthz HTTP/1.1\r\n\r\n", 404),
        std::pair("GET http://healthz HTTP/1.1\r\n\r\n", 404),
        std::pair("POST /healthz HTTP/1.1\r\n\r\n", 405), std::pair("\xFF \x01 \r\n\r\n", 400)}) {
    EXPECT_TRUE(answer(request).starts_with("HTTP/1.1 " + std::to_string(status)))
        << request << answer(request);
  }
  EXPECT_TRUE(answer("GET /healthz HTTP/1.1\r\nX: " + std::string(100'000, 'x'))
                  .starts_with("HTTP/1.1 431"));
  EXPECT_EQ(answer("GET /healthz HTTP/1.1\r\nX: "), "") << "nobody waits for the rest for ever";
}

TEST_F(HostileClients, OfWhomThousandsAreSlowOrFatKeepNobodyOut) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4'096);
  ::setrlimit(RLIMIT_NOFILE, &limit);
  const std::size_t count = std::min<std::size_t>(2'000, limit.rlim_cur - 300);
  const std::size_t before = resident_memory();
  std::atomic<bool> over = false;
  std::jthread attackers([&] {
    std::vector<Fd> sockets;
    const std::string fat = "GET /metrics HTTP/1.1\r\nX: " + std::string(8'000, 'x');
    for (std::size_t i = 0; !over; ++i) {
      if (sockets.size() < count) {
        // Some never send, some too little, some never read.
        sockets.push_back(client(i % 3 == 0   ? ""
                                 : i % 3 == 1 ? fat
                                              : "GET /metrics HTTP/1.1\r\n\r\n"));
        continue;
      }
      Fd& slow = sockets[i % count];
      if (::send(slow.get(), "x", 1, MSG_NOSIGNAL) < 0) {
        slow = client("GET /");
      }
    }
  });
  std::chrono::steady_clock::duration slowest{};
  for (int i = 0; i < 200; ++i) {
    const auto started = std::chrono::steady_clock::now();
    EXPECT_TRUE(answer("GET /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
    slowest = std::max(slowest, std::chrono::steady_clock::now() - started);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_LT(slowest, std::chrono::seconds(2));
  const std::size_t grown = resident_memory() - before;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // They keep what was freed.
  EXPECT_LT(grown, 16U << 20U);
#endif
  std::cout << count << " clients: slowest answer "
            << std::chrono::duration_cast<std::chrono::microseconds>(slowest).count() << " us, "
            << grown / 1'024 << " KiB more\n";
  over = true;
}

/// An endpoint with a history whose pages come when the test lets them.
class HistoryClients : public HostileClients {
 protected:
  HistoryClients() {
    endpoint_ =
        HttpEndpoint::start(
            "127.0.0.1:0",
            {.not_ready_reasons = [] { return std::vector<std::string>(); },
             .warnings = [] { return std::vector<std::string>(); },
             .metrics = [] { return std::string("m\n"); },
             .history = EndpointPages::History{.token = Secret("a-token-of-the-test"),
                                               .make =
                                                   [this](const std::string& target) {
                                                     held_.wait(true);
                                                     return HttpAnswer{
                                                         .body = target + std::string(size_, '.')};
                                                   }}})
            .value();
  }

  ~HistoryClients() override {
    release();
    endpoint_.reset();  // It asks what is declared below.
  }

  void release() {
    held_ = false;
    held_.notify_all();
  }

  static std::string with_token(const std::string& target) {
    return "GET " + target +
           " HTTP/1.1\r\nHost: x\r\nauthorization:  Bearer a-token-of-the-test \r\n\r\n";
  }

  std::atomic<bool> held_ = false;
  std::size_t size_ = 0;
};

TEST_F(HistoryClients, GetPagesForTheTokenAlone) {
  for (const char* target :
       {"/history", "/history?n=5&x=/history", "/history/d1", "/history/runs/7/log?from=3"}) {
    const std::string text = answer(with_token(target));
    EXPECT_TRUE(text.starts_with("HTTP/1.1 200 OK\r\n") &&
                text.ends_with("\r\n\r\n" + std::string(target)))
        << text;
  }
  EXPECT_TRUE(answer(with_token("http://a.test:1/history/d1")).ends_with("\r\n\r\n/history/d1"));
  EXPECT_TRUE(answer(with_token("/historyx")).starts_with("HTTP/1.1 404"));
  for (const char* field :
       {"", "Authorization: Bearer a-token-of-the-tesT\r\n", "Authorization: Bearer \r\n",
        "Authorization: a-token-of-the-test\r\n", "Authorization:\r\n", "Authorization\r\n",
        "Authorization: Bearer a-token-of-the-test-and-more\r\n",
        "X-Authorization: Bearer a-token-of-the-test\r\n",
        "Authorization: Bearer x\r\nAuthorization: Bearer a-token-of-the-test\r\n"}) {
    const std::string text = answer("GET /history HTTP/1.1\r\n" + std::string(field) + "\r\n");
    EXPECT_TRUE(text.starts_with("HTTP/1.1 401") && text.contains("WWW-Authenticate: Bearer"))
        << field << text;
  }
  EXPECT_TRUE(answer("POST /history HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 405"));
}

TEST_F(HistoryClients, WhoWaitForADiskKeepNobodyElseWaiting) {
  held_ = true;
  std::vector<Fd> waiting;
  for (int i = 0; i < 40; ++i) {
    waiting.push_back(client(with_token("/history/d" + std::to_string(i))));
    EXPECT_TRUE(answer("GET /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
  }
  release();
  std::size_t served = 0;
  std::size_t refused = 0;
  for (const Fd& each : waiting) {
    const std::string text = all_of(each);
    served += text.starts_with("HTTP/1.1 200") ? 1U : 0U;
    refused += text.starts_with("HTTP/1.1 503") ? 1U : 0U;
  }
  EXPECT_EQ(served + refused, 40U);
  EXPECT_EQ(served, 4U) << "as many as there is memory for";
  EXPECT_TRUE(answer(with_token("/history")).ends_with("/history")) << "and room again";
}

TEST_F(HistoryClients, WhoGoAwayLeaveRoomForOthers) {
  held_ = true;
  for (int i = 0; i < 4; ++i) {
    client(with_token("/history"));
  }
  release();
  std::string text;
  for (int i = 0; i < 1'000 && !text.ends_with("/history"); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    text = answer(with_token("/history"));
  }
  EXPECT_TRUE(text.ends_with("/history")) << text;
}

TEST_F(HistoryClients, OfWhomManyNeverReadTheirPagesTakeLittleMemory) {
  ::mallopt(M_MMAP_THRESHOLD, 256 * 1024);  // As in main().
  size_ = std::size_t{900} * 1024;
  [[maybe_unused]] const std::size_t before = resident_memory();
  std::vector<Fd> sockets;
  for (int i = 0; i < 500; ++i) {
    sockets.push_back(client(with_token("/history")));
    ASSERT_TRUE(answer("GET /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
  }
  [[maybe_unused]] const std::size_t now = resident_memory();
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // They keep what was freed.
  EXPECT_LT(now - std::min(now, before), 16U << 20U);
#endif
}

TEST_F(HostileClients, AProcessWithoutDescriptorsAnswersAgainWhenItHasSome) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  const rlimit few{.rlim_cur = 64, .rlim_max = limit.rlim_max};
  ::setrlimit(RLIMIT_NOFILE, &few);
  std::vector<Fd> sockets;
  for (Fd socket = client(""); socket; socket = Fd(::dup(0))) {
    sockets.push_back(std::move(socket));
  }
  const Fd waits = std::move(sockets.front());
  sockets.resize(sockets.size() - 2);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  sockets.clear();
  ::setrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_TRUE(answer("GET /healthz HTTP/1.1\r\n\r\n").ends_with("ok\n"));
}

INSTANTIATE_TEST_SUITE_P(Hosts, HttpEndpointTest,
                         testing::Values("127.0.0.1", "localhost", "[::1]"));

}  // namespace
}  // namespace builder::app
