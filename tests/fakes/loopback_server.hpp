#pragma once

#include "base/fd.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <charconv>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace builder::fakes {

/// "HTTP/1.1 STATUS …" with the length of its body; `headers` end with a line break each.
inline std::string http_answer(int status, const std::string& headers, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) + " x\r\nConnection: close\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// Answers HTTP on loopback, one request a connection, with the bytes that `answer` gives to
/// "METHOD /path". An answer to HEAD loses its body.
class LoopbackServer {
 public:
  using Handler = std::function<std::string(const std::string& request)>;

  explicit LoopbackServer(Handler answer)
      : answer_(std::move(answer)), listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const raw = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_.get(), raw, size) != 0 || ::listen(listener_.get(), 16) != 0 ||
        ::getsockname(listener_.get(), raw, &size) != 0) {
      std::abort();
    }
    host_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
  }

  /// host:port.
  [[nodiscard]] const std::string& host() const { return host_; }

  [[nodiscard]] std::vector<std::string> requests() const {
    const std::scoped_lock lock(mutex_);
    return requests_;
  }

 private:
  void serve(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      pollfd entry{.fd = listener_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, 20) > 0) {
        const Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        serve_one(client);
      }
    }
  }

  void serve_one(const Fd& client) {
    std::string request;
    std::array<char, 4096> buffer{};
    while (!is_whole(request)) {
      const ssize_t count = ::recv(client.get(), buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        return;
      }
      request.append(buffer.data(), static_cast<std::size_t>(count));
    }
    std::string line = request.substr(0, request.find(" HTTP/"));
    std::string bytes = answer_(line);
    if (line.starts_with("HEAD ")) {
      bytes.resize(std::min(bytes.size(), bytes.find("\r\n\r\n") + 4));
    }
    {
      const std::scoped_lock lock(mutex_);
      requests_.push_back(std::move(line));
    }
    ::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  static bool is_whole(const std::string& request) {
    const auto end = request.find("\r\n\r\n");
    if (end == std::string::npos) {
      return false;
    }
    constexpr std::string_view k_length = "Content-Length: ";
    const auto at = request.find(k_length);
    std::size_t length = 0;
    if (at < end) {
      const char* const digits = request.data() + at + k_length.size();
      std::from_chars(digits, request.data() + end, length);
    }
    return request.size() >= end + 4 + length;
  }

  const Handler answer_;
  const Fd listener_;
  std::string host_;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::jthread thread_;
};

/// Answers that none of our peers gives: what a wrong address, a proxy, a firewall, a portal or a
/// deployment of another program answers in their place.
struct Stranger {
  const char* name;
  std::string answer;
  const char* shown;  ///< How it shows in the operator's line.
};

inline std::vector<Stranger> strangers() {
  return {
      {"ProxyWithoutItsServer",
       http_answer(404, "Content-Type: text/plain\r\n", "404 page not found\n"), "404 text/plain"},
      {"PageOfAProxy",
       http_answer(404, "Content-Type: text/html\r\n", "<html><h1>404 Not Found</h1></html>"),
       "404 text/html"},
      {"AnotherProgram",
       http_answer(404, "Content-Type: application/json\r\n", R"({"error":"Not found"})"),
       "404 application/json"},
      {"AnotherProgramThatNumbersItsErrors",
       http_answer(404, "Content-Type: application/json\r\n",
                   R"({"errors":[{"code":"404","title":"Not found"}]})"),
       "404 application/json"},
      {"Firewall", http_answer(403, "Content-Type: text/html\r\n", "<html>Forbidden</html>"),
       "403 text/html"},
      {"WallWithAPassword", http_answer(401, "Content-Type: text/html\r\n", "<html>Log in</html>"),
       "401 text/html"},
      {"PlainPort",
       http_answer(400, "Content-Type: text/html\r\n",
                   "<html>The plain HTTP request was sent to HTTPS port</html>"),
       "400 text/html"},
      {"Maintenance",
       http_answer(200, "Content-Type: text/html\r\n", "<!doctype html><p>Back soon</p>"),
       "200 text/html"},
      {"PageWithoutAType", http_answer(200, "", "\n <html>Welcome to the hotel</html>"), "200: <"},
      {"Portal",
       http_answer(302, "Location: http://portal.example/login?back=x\r\n", "<html>moved</html>"),
       "302, a redirect to http://portal.example/login"},
      {"Ingress", http_answer(308, "Location: https://127.0.0.1:1/\r\n", ""),
       "308, a redirect to https://127.0.0.1:1/"},
  };
}

}  // namespace builder::fakes
