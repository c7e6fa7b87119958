#include "adapters/redis/connection.hpp"

#include <hiredis/hiredis.h>

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

namespace builder::adapters::redis {

namespace {

constexpr std::chrono::seconds k_connect_patience{5};
constexpr std::size_t k_read_size = 16 * 1024;

struct ReplyDeleter {
  void operator()(redisReply* reply) const { freeReplyObject(reply); }
};

void set_option(int fd, int level, int option, int value) {
  // Best effort: without them a dead peer is noticed later, by the reply's deadline.
  [[maybe_unused]] const int ignored = ::setsockopt(fd, level, option, &value, sizeof value);
}

void tune(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 3);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 10'000);
}

/// What Redis says in an error answer, sorted by what we can do about it.
Error refusal(const std::string& text, const std::string& command) {
  const std::string code = text.substr(0, text.find(' '));
  ErrorKind kind = ErrorKind::internal;
  if (code == "NOAUTH" || code == "WRONGPASS" || code == "NOPERM") {
    kind = ErrorKind::denied;
  } else if (code == "LOADING" || code == "READONLY" || code == "MASTERDOWN" || code == "BUSY" ||
             code == "OOM" || code == "TRYAGAIN" || code == "CLUSTERDOWN" || code == "UNBLOCKED" ||
             code == "MISCONF") {
    kind = ErrorKind::unavailable;
  } else if (code == "WRONGTYPE") {
    kind = ErrorKind::conflict;
  } else if (code == "NOSCRIPT") {
    kind = ErrorKind::not_found;
  }
  return {.kind = kind, .message = "redis refuses " + command + ": " + text};
}

Reply convert(const redisReply& reply) {
  Reply out;
  switch (reply.type) {
    case REDIS_REPLY_INTEGER:
      out.type = Reply::Type::integer;
      out.integer = reply.integer;
      break;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      out.type = Reply::Type::text;
      out.text.assign(reply.str, reply.len);
      break;
    case REDIS_REPLY_ARRAY:
      out.type = Reply::Type::list;
      for (std::size_t i = 0; i < reply.elements; ++i) {
        out.list.push_back(convert(*reply.element[i]));
      }
      break;
    default:
      break;
  }
  return out;
}

std::string format(const std::vector<std::string>& command) {
  std::string out = "*" + std::to_string(command.size()) + "\r\n";
  for (const std::string& word : command) {
    out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  return out;
}

}  // namespace

void Connection::ReaderDeleter::operator()(redisReader* reader) const {
  redisReaderFree(reader);
}

Connection::Connection() : reader_(redisReaderCreate()) {
}

Connection::~Connection() = default;

std::unexpected<Error> Connection::broken(std::string what) {
  fd_.reset();
  return failure(ErrorKind::unavailable, "redis: " + std::move(what));
}

Result<> Connection::dial(const RedisConfig& config, const std::stop_token& stop) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status =
      ::getaddrinfo(config.host.c_str(), std::to_string(config.port).c_str(), &hints, &found);
  if (status != 0) {
    return failure(ErrorKind::unavailable,
                   "redis: cannot resolve " + config.host + ": " + ::gai_strerror(status));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  const StopFd stop_fd(stop);
  std::string problem = "no address";
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    Fd fd(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
      continue;
    }
    if (::connect(fd.get(), address->ai_addr, address->ai_addrlen) != 0 && errno != EINPROGRESS) {
      problem = std::generic_category().message(errno);
      continue;
    }
    std::array<pollfd, 1> fds{{{.fd = fd.get(), .events = POLLOUT, .revents = 0}}};
    const WaitResult waited =
        wait_any(fds, stop_fd, std::chrono::steady_clock::now() + k_connect_patience);
    if (waited == WaitResult::stopped) {
      return failure(ErrorKind::cancelled, "stopped while connecting to redis");
    }
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (waited == WaitResult::deadline || error != 0) {
      problem = error != 0 ? std::generic_category().message(error) : "no answer";
      continue;
    }
    tune(fd.get());
    fd_ = std::move(fd);
    return {};
  }
  return failure(ErrorKind::unavailable, "redis: cannot connect to " + config.host + ":" +
                                             std::to_string(config.port) + ": " + problem);
}

Result<std::unique_ptr<Connection>> Connection::open(const RedisConfig& config,
                                                     const std::string& name,
                                                     const std::stop_token& stop) {
  std::unique_ptr<Connection> connection(new Connection());
  BUILDER_TRY(connection->dial(config, stop));
  if (!config.password.empty()) {
    std::vector<std::string> auth{"AUTH"};
    if (!config.username.empty()) {
      auth.push_back(config.username);
    }
    auth.push_back(config.password.reveal());
    BUILDER_TRY(connection->call(auth, stop));
  }
  BUILDER_TRY(connection->call({"CLIENT", "SETNAME", name}, stop));
  return connection;
}

Result<> Connection::send(const std::vector<std::string>& command, const std::stop_token& stop) {
  if (!fd_) {
    return failure(ErrorKind::unavailable, "redis: not connected");
  }
  const std::string bytes = format(command);
  const StopFd stop_fd(stop);
  const SteadyTime deadline = std::chrono::steady_clock::now() + k_connect_patience;
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t count = ::send(fd_.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<std::size_t>(count);
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) {
      return broken(std::generic_category().message(errno));
    }
    std::array<pollfd, 1> fds{{{.fd = fd_.get(), .events = POLLOUT, .revents = 0}}};
    if (wait_any(fds, stop_fd, deadline) != WaitResult::ready) {
      return broken("command not sent in time");
    }
  }
  return {};
}

Result<Reply> Connection::receive(const std::stop_token& stop, SteadyTime deadline) {
  const StopFd stop_fd(stop);
  for (;;) {
    void* raw = nullptr;
    if (redisReaderGetReply(reader_.get(), &raw) != REDIS_OK) {
      return broken(std::string("protocol error: ") + reader_->errstr);
    }
    if (raw != nullptr) {
      const std::unique_ptr<redisReply, ReplyDeleter> reply(static_cast<redisReply*>(raw));
      if (reply->type == REDIS_REPLY_ERROR) {
        return std::unexpected(refusal(std::string(reply->str, reply->len), "a command"));
      }
      return convert(*reply);
    }
    if (!fd_) {
      return failure(ErrorKind::unavailable, "redis: not connected");
    }
    std::array<pollfd, 1> fds{{{.fd = fd_.get(), .events = POLLIN, .revents = 0}}};
    switch (wait_any(fds, stop_fd, deadline)) {
      case WaitResult::stopped:
        return failure(ErrorKind::cancelled, "stopped while waiting for redis");
      case WaitResult::deadline:
        return failure(ErrorKind::timed_out, "redis does not answer");
      case WaitResult::ready:
        break;
    }
    std::array<char, k_read_size> buffer{};
    const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
    if (count == 0) {
      return broken("connection closed");
    }
    if (count < 0) {
      if (errno == EAGAIN || errno == EINTR) {
        continue;
      }
      return broken(std::generic_category().message(errno));
    }
    if (redisReaderFeed(reader_.get(), buffer.data(), static_cast<std::size_t>(count)) !=
        REDIS_OK) {
      return broken("out of memory");
    }
  }
}

Result<Reply> Connection::call(const std::vector<std::string>& command, const std::stop_token& stop,
                               std::chrono::milliseconds patience) {
  BUILDER_TRY(send(command, stop));
  auto reply = receive(stop, std::chrono::steady_clock::now() + patience);
  if (!reply &&
      (reply.error().kind == ErrorKind::timed_out || reply.error().kind == ErrorKind::cancelled)) {
    fd_.reset();  // Its answer may still come: nobody may take it for another one.
  }
  if (!reply && reply.error().message.starts_with("redis refuses a command")) {
    reply.error().message.replace(0, std::string_view("redis refuses a command").size(),
                                  "redis refuses " + command.front());
  }
  return reply;
}

}  // namespace builder::adapters::redis
