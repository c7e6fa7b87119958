#include "adapters/buildkit/upgrade.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <system_error>

#include "base/text.hpp"

namespace builder::adapters::buildkit {

namespace {

constexpr std::size_t k_largest_header = 64 * 1024;

std::unexpected<Error> away(const std::string& doing) {
  return failure(ErrorKind::unavailable,
                 "engine: " + doing + ": " + std::generic_category().message(errno));
}

std::unexpected<Error> gave_up(WaitResult why, const std::string& doing) {
  return why == WaitResult::stopped
             ? failure(ErrorKind::cancelled, "stopped: engine: " + doing)
             : failure(ErrorKind::timed_out, "the engine does not answer: " + doing);
}

Result<Fd> finish_connect(Fd fd, const sockaddr* address, socklen_t size, const StopFd& stop,
                          SteadyTime deadline) {
  if (::connect(fd.get(), address, size) != 0) {
    if (errno != EINPROGRESS && errno != EAGAIN) {
      return away("connect");
    }
    std::array<pollfd, 1> fds{{{.fd = fd.get(), .events = POLLOUT, .revents = 0}}};
    if (const auto waited = wait_any(fds, stop, deadline); waited != WaitResult::ready) {
      return gave_up(waited, "connect");
    }
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) {
      errno = error;
      return away("connect");
    }
  }
  return fd;
}

Result<Fd> connect_unix(const std::string& path, const StopFd& stop, SteadyTime deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return failure(ErrorKind::invalid_input, "DOCKER_HOST: the socket's path is too long");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return errno_failure("socket");
  }
  return finish_connect(std::move(fd), reinterpret_cast<const sockaddr*>(&address), sizeof address,
                        stop, deadline);
}

Result<Fd> connect_tcp(std::string authority, const StopFd& stop, SteadyTime deadline) {
  authority = authority.substr(authority.find("://") + 3);
  const std::size_t colon = authority.rfind(':');
  std::string host = authority.substr(0, colon);
  if (host.starts_with('[')) {
    host = host.substr(1, host.size() - 2);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status =
      ::getaddrinfo(host.c_str(), authority.substr(colon + 1).c_str(), &hints, &found);
  if (status != 0) {
    return failure(ErrorKind::unavailable,
                   "engine: cannot resolve " + host + ": " + ::gai_strerror(status));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  Result<Fd> connected = failure(ErrorKind::unavailable, "engine: no address");
  for (const addrinfo* address = found; address != nullptr && !connected;
       address = address->ai_next) {
    Fd fd(::socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) {
      return errno_failure("socket");
    }
    const int yes = 1;
    ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    connected = finish_connect(std::move(fd), address->ai_addr, address->ai_addrlen, stop, deadline);
  }
  return connected;
}

Result<> send_all(const Fd& fd, std::string_view bytes, const StopFd& stop, SteadyTime deadline) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
      continue;
    }
    if (errno != EAGAIN && errno != EINTR) {
      return away("send");
    }
    std::array<pollfd, 1> fds{{{.fd = fd.get(), .events = POLLOUT, .revents = 0}}};
    if (const auto waited = wait_any(fds, stop, deadline); waited != WaitResult::ready) {
      return gave_up(waited, "send");
    }
  }
  return {};
}

}  // namespace

Result<> read_upgrade_answer(const Fd& fd, const std::stop_token& stop, SteadyTime deadline) {
  constexpr std::string_view k_end = "\r\n\r\n";
  const StopFd stop_fd(stop);
  std::string header;
  for (;;) {
    std::array<pollfd, 1> fds{{{.fd = fd.get(), .events = POLLIN, .revents = 0}}};
    if (const auto waited = wait_any(fds, stop_fd, deadline); waited != WaitResult::ready) {
      return gave_up(waited, "upgrade");
    }
    // Look first, then take: what follows the header is not ours to read.
    std::array<char, 4096> buffer{};
    const ssize_t seen = ::recv(fd.get(), buffer.data(), buffer.size(), MSG_PEEK);
    if (seen < 0 && (errno == EAGAIN || errno == EINTR)) {
      continue;
    }
    if (seen <= 0) {
      return failure(ErrorKind::unavailable, "engine: connection closed during the upgrade");
    }
    const std::size_t before = header.size();
    header.append(buffer.data(), static_cast<std::size_t>(seen));
    const std::size_t end = header.find(k_end, before < k_end.size() ? 0 : before - k_end.size() + 1);
    if (end != std::string::npos) {
      header.resize(end + k_end.size());
    }
    const std::size_t take = header.size() - before;
    if (::recv(fd.get(), buffer.data(), take, 0) != static_cast<ssize_t>(take)) {
      return away("read");
    }
    if (end != std::string::npos) {
      break;
    }
    if (header.size() > k_largest_header) {
      return failure(ErrorKind::unavailable, "engine: the upgrade's answer is too long");
    }
  }
  if (!header.starts_with("HTTP/1.1 101")) {
    return failure(ErrorKind::unavailable,
                   "engine refuses the upgrade: " + one_line(header.substr(0, header.find('\r'))));
  }
  return {};
}

Result<Fd> upgrade(const docker::EngineAddress& address, const std::string& path,
                   const Headers& headers, const std::stop_token& stop, SteadyTime deadline) {
  const StopFd stop_fd(stop);
  BUILDER_TRY_ASSIGN(Fd fd, address.unix_socket.empty()
                                ? connect_tcp(address.base_url, stop_fd, deadline)
                                : connect_unix(address.unix_socket, stop_fd, deadline));
  std::string request = "POST " + path +
                        " HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
                        "Content-Length: 0\r\n";
  for (const auto& [name, value] : headers) {
    request += name + ": " + value + "\r\n";
  }
  BUILDER_TRY(send_all(fd, request + "\r\n", stop_fd, deadline));
  BUILDER_TRY(read_upgrade_answer(fd, stop, deadline));
  return fd;
}

}  // namespace builder::adapters::buildkit
