#include "app/health/http_endpoint.hpp"

#include "adapters/http/message.hpp"
#include "base/fd.hpp"
#include "base/stop.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <list>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

namespace builder::app {

namespace {

using Clock = std::chrono::steady_clock;

/// With so many under way the oldest makes room for the next: slow clients cannot keep others out.
constexpr std::size_t k_most_connections = 128;
constexpr std::size_t k_largest_header = 8 * 1024;
constexpr std::string_view k_history = "/history";
/// From the first byte to the last, both ways.
constexpr std::chrono::seconds k_exchange_limit{5};
/// For a client that still sends to read its answer.
constexpr std::chrono::seconds k_linger_limit{1};
/// When the process has no descriptors left.
constexpr std::chrono::milliseconds k_accept_pause{100};

/// Answers of the history that are made or written at a time. Beside them there may be as many that
/// are made for clients that are gone.
constexpr std::size_t k_most_history_answers = 4;

HttpAnswer refusal(int status, std::string_view reason) {
  return {.status = status, .reason = reason, .body = std::string(reason) + "\n"};
}

struct Connection {
  enum class State { reading, waiting, writing, lingering };

  Fd socket;
  SteadyTime deadline;
  std::uint64_t id = 0;
  State state = State::reading;
  bool is_of_history = false;  ///< It holds, or will, one of the large answers.
  std::string header = {};
  std::string answer = {};
  std::size_t sent = 0;
};

/// Frees its memory, which an assignment of an empty string keeps.
void give_back(std::string& text) {
  std::string().swap(text);
}

/// The path of a request target (RFC 9112, 3.2), which may be a whole URL for a proxy.
std::string_view path_of(std::string_view target) {
  if (const std::size_t scheme = target.find("://");
      !target.starts_with('/') && scheme != std::string_view::npos) {
    const std::size_t path = target.find('/', scheme + 3);
    target = path == std::string_view::npos ? "/" : target.substr(path);
  }
  return target.substr(0, target.find('?'));
}

/// The value of a header field (RFC 9112, 5), the first of that name; empty: there is none.
std::string_view field_of(std::string_view header, std::string_view name) {
  while (!header.empty()) {
    const std::string_view line = header.substr(0, header.find('\n'));
    header.remove_prefix(std::min(line.size() + 1, header.size()));
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos &&
        adapters::http::equal_ignoring_case(line.substr(0, colon), name)) {
      std::string_view value = line.substr(colon + 1);
      value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
      return value.substr(0, value.find_last_not_of(" \t\r") + 1);
    }
  }
  return {};
}

/// Takes the same time whatever was shown: nobody finds a token letter by letter.
bool shows_token(std::string_view header, const Secret& token) {
  const auto wanted = sha256("Bearer " + token.reveal());
  const auto shown = sha256(field_of(header, "Authorization"));
  return CRYPTO_memcmp(wanted.data(), shown.data(), wanted.size()) == 0;
}

/// One thread and one `poll` for all clients, so that none of them costs more than its buffer:
/// answers are made at once, or elsewhere, and each connection gets one.
class PollingEndpoint final : public HttpEndpoint {
 public:
  explicit PollingEndpoint(EndpointPages pages) : pages_(std::move(pages)) {
    if (pages_.history) {
      history_ = std::make_unique<PageQueue>(pages_.history->make);
    }
  }

  /// 0, or why nobody can listen there, as errno has it.
  int bind(const std::string& host, int port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
      return EADDRNOTAVAIL;
    }
    int error = EADDRNOTAVAIL;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
      Fd socket(
          ::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, at->ai_protocol));
      // Not SO_REUSEPORT, which lets two processes share one address in silence.
      const int on = 1;
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      if (::bind(socket.get(), at->ai_addr, at->ai_addrlen) == 0 &&
          ::listen(socket.get(), SOMAXCONN) == 0) {
        listener_ = std::move(socket);
        error = 0;
        break;
      }
      error = errno;
    }
    ::freeaddrinfo(found);
    if (error == 0) {
      thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
    }
    return error;
  }

  [[nodiscard]] int port() const override {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.ss_family == AF_INET6
                     ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                     : reinterpret_cast<const sockaddr_in&>(address).sin_port);
  }

 private:
  void run(const std::stop_token& token) {
    const StopFd stop(token);
    SteadyTime accept_from{};
    std::vector<pollfd> fds;
    for (;;) {
      const auto now = Clock::now();
      connections_.remove_if([now](const Connection& each) { return each.deadline <= now; });
      fds.assign({{.fd = accept_from <= now ? listener_.get() : -1, .events = POLLIN, .revents = 0},
                  {.fd = history_ ? history_->descriptor() : -1, .events = POLLIN, .revents = 0}});
      SteadyTime deadline = accept_from <= now ? SteadyTime::max() : accept_from;
      for (const Connection& each : connections_) {
        const auto events = each.state == Connection::State::writing   ? POLLOUT
                            : each.state == Connection::State::waiting ? 0
                                                                       : POLLIN;
        fds.push_back(
            {.fd = each.socket.get(), .events = static_cast<short>(events), .revents = 0});
        deadline = std::min(deadline, each.deadline);
      }
      if (wait_any(fds, stop, deadline) == WaitResult::stopped) {
        return;
      }
      auto fd = fds.begin() + 2;
      for (auto each = connections_.begin(); each != connections_.end(); ++fd) {
        // Of one that waits only its end is seen.
        const bool stays =
            fd->revents == 0 || (each->state != Connection::State::waiting && goes_on(*each));
        each = stays ? std::next(each) : connections_.erase(each);
      }
      if (fds[1].revents != 0) {
        bring_history();
      }
      if (fds.front().revents != 0 && !accept_all()) {
        accept_from = Clock::now() + k_accept_pause;
      }
    }
  }

  /// False when there is no descriptor to be had.
  bool accept_all() {
    // As many as can be under way; then those that have an answer by now get it.
    for (std::size_t i = 0; i < k_most_connections; ++i) {
      Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!socket) {
        const bool is_out =
            errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
        if (is_out && !connections_.empty()) {
          connections_.pop_front();
          continue;
        }
        return !is_out;
      }
      if (connections_.size() >= k_most_connections) {
        goes_on(connections_.front());  // What it asked may have come meanwhile.
        connections_.pop_front();
      }
      connections_.push_back({.socket = std::move(socket),
                              .deadline = Clock::now() + k_exchange_limit,
                              .id = ++last_id_});
      // Whoever has sent its request already is served, however many come behind it.
      if (!goes_on(connections_.back())) {
        connections_.pop_back();
      }
    }
    return true;
  }

  /// Gives those that wait for them the pages that are made by now.
  void bring_history() {
    for (auto& [id, made] : history_->take()) {
      const HttpAnswer page = std::move(made);  // Gone before the next one is copied.
      const auto found = std::ranges::find(connections_, id, &Connection::id);
      if (found != connections_.end()) {
        answer(*found, page);
        if (!goes_on(*found)) {
          connections_.erase(found);
        }
      }
    }
  }

  /// Does what can be done at once; false when the connection is over.
  bool goes_on(Connection& connection) {
    if (connection.state == Connection::State::reading && !read_header(connection)) {
      return false;
    }
    if (connection.state == Connection::State::writing && !write_answer(connection)) {
      return false;
    }
    return connection.state != Connection::State::lingering || drain(connection);
  }

  bool read_header(Connection& connection) {
    std::array<char, 4'096> chunk;
    for (;;) {
      const ssize_t count = ::recv(connection.socket.get(), chunk.data(), chunk.size(), 0);
      if (count <= 0) {
        return count < 0 && (errno == EAGAIN || errno == EINTR);
      }
      std::string& header = connection.header;
      header.append(chunk.data(), static_cast<std::size_t>(count));
      const bool is_whole = header.contains("\r\n\r\n") || header.contains("\n\n");
      if (is_whole || header.size() > k_largest_header) {
        if (!is_whole || header.size() > k_largest_header + chunk.size()) {
          answer(connection, refusal(431, "Request Header Fields Too Large"));
        } else if (const auto at_once = answer_to(connection)) {
          answer(connection, *at_once);
        } else {
          connection.state = Connection::State::waiting;
        }
        return true;
      }
    }
  }

  /// Only the request line matters, and the token for the history: no body is read. Nullopt: the
  /// answer is made elsewhere.
  std::optional<HttpAnswer> answer_to(Connection& connection) {
    const std::string_view header = connection.header;
    const std::string_view line = header.substr(0, header.find_first_of("\r\n"));
    const std::size_t method = line.find(' ');
    const std::size_t version = line.rfind(' ');
    if (method == std::string_view::npos || method == version ||
        !line.substr(version + 1).starts_with("HTTP/1.")) {
      return refusal(400, "Bad Request");
    }
    const std::string_view target = line.substr(method + 1, version - method - 1);
    const std::string_view path = path_of(target);
    const bool is_of_history =
        pages_.history && (path == k_history || path.starts_with(std::string(k_history) + "/"));
    const bool is_page = path == "/healthz" || path == "/readyz" || path == "/metrics";
    if (!is_page && !is_of_history) {
      return refusal(404, "Not Found");
    }
    const std::string_view name = line.substr(0, method);
    if (name != "GET" && name != "HEAD") {
      return refusal(405, "Method Not Allowed");
    }
    return is_of_history ? ask_history(connection, target, header) : page(path);
  }

  std::optional<HttpAnswer> ask_history(Connection& connection, std::string_view target,
                                        std::string_view header) {
    if (!shows_token(header, pages_.history->token)) {
      return refusal(401, "Unauthorized");
    }
    const auto held = std::ranges::count_if(connections_, &Connection::is_of_history);
    const std::size_t path = target.find(k_history);
    if (static_cast<std::size_t>(held) >= k_most_history_answers ||
        !history_->ask(connection.id, std::string(target.substr(path)))) {
      return refusal(503, "Service Unavailable");
    }
    connection.is_of_history = true;
    return std::nullopt;
  }

  HttpAnswer page(std::string_view path) {
    if (path == "/healthz") {
      return {.body = "ok\n"};
    }
    if (path == "/metrics") {
      return {.body = pages_.metrics(), .type = "text/plain; version=0.0.4; charset=utf-8"};
    }
    const auto reasons = pages_.not_ready_reasons();
    HttpAnswer answer;
    answer.body = reasons.empty() ? "ready\n" : "";
    for (const std::string& reason : reasons) {
      answer.body += reason + "\n";
    }
    for (const std::string& warning : pages_.warnings()) {
      answer.body += "warning: " + warning + "\n";
    }
    if (!reasons.empty()) {
      answer.status = 503;
      answer.reason = "Service Unavailable";
    }
    return answer;
  }

  static void answer(Connection& connection, const HttpAnswer& answer) {
    connection.answer = fmt::format(
        "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
        "{}Connection: close\r\n\r\n",
        answer.status, answer.reason, answer.type, answer.body.size(),
        answer.status == 405   ? "Allow: GET, HEAD\r\n"
        : answer.status == 401 ? "WWW-Authenticate: Bearer\r\n"
                               : "");
    if (!connection.header.starts_with("HEAD ")) {
      connection.answer += answer.body;
    }
    give_back(connection.header);
    connection.state = Connection::State::writing;
  }

  static bool write_answer(Connection& connection) {
    while (connection.sent < connection.answer.size()) {
      const ssize_t count =
          ::send(connection.socket.get(), connection.answer.data() + connection.sent,
                 connection.answer.size() - connection.sent, MSG_NOSIGNAL);
      if (count <= 0) {
        return count < 0 && (errno == EAGAIN || errno == EINTR);
      }
      connection.sent += static_cast<std::size_t>(count);
    }
    ::shutdown(connection.socket.get(), SHUT_WR);
    give_back(connection.answer);
    connection.is_of_history = false;
    connection.state = Connection::State::lingering;
    connection.deadline = std::min(connection.deadline, Clock::now() + k_linger_limit);
    return true;
  }

  /// A socket closed while the client still sends would take the answer with it.
  static bool drain(Connection& connection) {
    std::array<char, 16'384> rest;
    const ssize_t count = ::recv(connection.socket.get(), rest.data(), rest.size(), 0);
    return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
  }

  EndpointPages pages_;
  std::unique_ptr<PageQueue> history_;  ///< Null: there is none.
  std::uint64_t last_id_ = 0;
  Fd listener_;
  std::list<Connection> connections_;  ///< Of the thread; the oldest first.
  std::jthread thread_;
};

}  // namespace

Result<std::unique_ptr<HttpEndpoint>> HttpEndpoint::start(const std::string& address,
                                                          EndpointPages pages) {
  const std::size_t colon = address.rfind(':');
  std::string host = address.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  auto endpoint = std::make_unique<PollingEndpoint>(std::move(pages));
  if (const int error = endpoint->bind(host, std::stoi(address.substr(colon + 1))); error != 0) {
    return failure(
        error == EADDRINUSE ? ErrorKind::conflict : ErrorKind::internal,
        "HTTP_LISTEN: cannot listen on " + address + ": " + std::generic_category().message(error));
  }
  return endpoint;
}

}  // namespace builder::app
