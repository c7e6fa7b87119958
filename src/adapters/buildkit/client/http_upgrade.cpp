#include "adapters/buildkit/client/http_upgrade.hpp"

#include "base/ascii.hpp"
#include "base/text.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <charconv>
#include <memory>
#include <span>
#include <string_view>
#include <system_error>

namespace builder::adapters::buildkit {

namespace {

constexpr std::size_t k_header_limit = 64 * 1024;
constexpr std::string_view k_header_end = "\r\n\r\n";

std::unexpected<Error> connect_failure(int code) {
  const std::string text = "connect to the engine: " + std::system_category().message(code);
  return failure(code == EACCES || code == EPERM ? ErrorKind::denied : ErrorKind::unavailable,
                 text);
}

Result<Fd> connect_to(const sockaddr* address, socklen_t size, int family, const StopFd& stop,
                      SteadyTime deadline) {
  Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return errno_failure("socket");
  }
  if (::connect(fd.get(), address, size) == 0) {
    return fd;
  }
  // EAGAIN: a unix socket whose backlog is full; poll would not tell when there is room again.
  if (errno != EINPROGRESS) {
    return connect_failure(errno);
  }
  BUILDER_TRY(wait_for(fd, POLLOUT, stop, deadline));
  int code = 0;
  socklen_t length = sizeof code;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &code, &length);
  if (code != 0) {
    return connect_failure(code);
  }
  return fd;
}

int status_code(std::string_view header) {
  int code = 0;
  const std::string_view digits = header.substr(std::min<std::size_t>(9, header.size()), 3);
  std::from_chars(digits.data(), digits.data() + digits.size(), code);
  return code;
}

/// Where an answer sends to; empty: nowhere.
std::string location_in(const std::string& header) {
  constexpr std::string_view k_name = "\r\nlocation:";
  const auto begin = lower_case(header).find(k_name);
  if (begin == std::string::npos) {
    return {};
  }
  const std::string_view rest = std::string_view(header).substr(begin + k_name.size());
  const std::string_view target = rest.substr(0, rest.find("\r\n"));
  return printable_line(target.substr(0, std::min<std::size_t>(target.find_first_of("?#"), 200)));
}

/// The start of an error answer's body, as far as it has come.
std::string body_start(const Fd& fd, const StopFd& stop) {
  std::array<char, 512> buffer{};
  const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(100);
  if (!wait_for(fd, POLLIN, stop, soon)) {
    return {};
  }
  const ssize_t count = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
  return count <= 0 ? "" : printable_line({buffer.data(), static_cast<std::size_t>(count)});
}

}  // namespace

Result<> wait_for(const Fd& fd, short events, const StopFd& stop, SteadyTime deadline) {
  pollfd entry{.fd = fd.get(), .events = events, .revents = 0};
  switch (wait_any(std::span(&entry, 1), stop, deadline)) {
    case WaitResult::ready:
      return {};
    case WaitResult::stopped:
      return failure(ErrorKind::cancelled, "stopped while talking to the engine");
    case WaitResult::deadline:
      return failure(ErrorKind::timed_out, "the engine did not answer in time");
  }
  return {};
}

Result<> send_all(const Fd& fd, std::string_view data, const StopFd& stop, SteadyTime deadline) {
  while (!data.empty()) {
    const ssize_t sent = ::send(fd.get(), data.data(), data.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      data.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      BUILDER_TRY(wait_for(fd, POLLOUT, stop, deadline));
    } else if (errno != EINTR) {
      return connect_failure(errno);
    }
  }
  return {};
}

Result<Fd> connect_engine(const EngineAddress& address, const StopFd& stop, SteadyTime deadline) {
  if (address.is_socket()) {
    sockaddr_un target{};
    target.sun_family = AF_UNIX;
    address.socket.copy(target.sun_path, sizeof target.sun_path - 1);
    return connect_to(reinterpret_cast<const sockaddr*>(&target), sizeof target, AF_UNIX, stop,
                      deadline);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  // Not interruptible; the engine is named by address or a local name.
  if (const int code = ::getaddrinfo(address.host.c_str(), address.port.c_str(), &hints, &found);
      code != 0) {
    return failure(ErrorKind::unavailable,
                   std::string("resolve the engine's name: ") + ::gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  Result<Fd> last = failure(ErrorKind::unavailable, "the engine's name has no address");
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    last = connect_to(entry->ai_addr, entry->ai_addrlen, entry->ai_family, stop, deadline);
    if (last) {
      const int on = 1;
      ::setsockopt(last->get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      return last;
    }
    if (last.error().kind == ErrorKind::cancelled) {
      break;
    }
  }
  return last;
}

Result<std::string> read_header(const Fd& fd, const StopFd& stop, SteadyTime deadline) {
  constexpr std::string_view k_protocol = "HTTP/1.";
  std::string header;
  std::array<char, 4096> buffer{};
  for (;;) {
    BUILDER_TRY(wait_for(fd, POLLIN, stop, deadline));
    const ssize_t peeked = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_PEEK);
    if (peeked < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (peeked <= 0) {
      return failure(ErrorKind::unavailable, "the engine closed the connection before its answer");
    }
    const std::size_t before = header.size();
    header.append(buffer.data(), static_cast<std::size_t>(peeked));
    const std::size_t compared = std::min(header.size(), k_protocol.size());
    if (header.compare(0, compared, k_protocol, 0, compared) != 0) {
      return failure(ErrorKind::internal, "the engine's answer is not HTTP");
    }
    const std::size_t end = header.find(k_header_end);
    if (end != std::string::npos) {
      header.resize(end + k_header_end.size());
    }
    const std::size_t take = header.size() - before;
    // Peeked just now and this is the only reader: the bytes are there.
    if (::recv(fd.get(), buffer.data(), take, 0) != static_cast<ssize_t>(take)) {
      return failure(ErrorKind::unavailable, "the engine's connection broke");
    }
    if (end != std::string::npos) {
      return header;
    }
    if (header.size() > k_header_limit) {
      return failure(ErrorKind::internal, "the engine's answer has an endless header");
    }
  }
}

Result<Fd> upgrade(const EngineAddress& address, const std::string& path, const Headers& headers,
                   const StopFd& stop, SteadyTime deadline) {
  BUILDER_TRY_ASSIGN(Fd fd, connect_engine(address, stop, deadline));
  std::string request = "POST " + path +
                        " HTTP/1.1\r\nHost: engine\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
                        "Content-Length: 0\r\n";
  for (const auto& [name, value] : headers) {
    request.append(name).append(": ").append(value).append("\r\n");
  }
  BUILDER_TRY(send_all(fd, request + "\r\n", stop, deadline));
  BUILDER_TRY_ASSIGN(const std::string header, read_header(fd, stop, deadline));
  const int code = status_code(header);
  if (code == 101) {
    return fd;
  }
  if (code >= 300 && code < 400) {
    return failure(ErrorKind::unavailable, "something that is not the engine answered " + path +
                                               ": " + std::to_string(code) + ", a redirect to " +
                                               location_in(header));
  }
  return failure(code >= 500 ? ErrorKind::unavailable : ErrorKind::internal,
                 "the engine refused " + path + ": " +
                     printable_line(header.substr(0, header.find("\r\n"))) + " " +
                     body_start(fd, stop));
}

}  // namespace builder::adapters::buildkit
