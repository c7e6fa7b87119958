#include "adapters/redis/client/transport.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>
#include <system_error>
#include <utility>

namespace builder::adapters::redis {

namespace {

constexpr std::chrono::seconds k_connect_patience{5};

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

std::string errno_text() {
  return std::generic_category().message(errno);
}

std::string connect_text(int error) {
  return std::generic_category().message(error) +
         (error == ECONNREFUSED || error == ENOENT ? "; does it run there?" : "");
}

std::string tls_text() {
  std::array<char, 256> text{};
  const unsigned long code = ERR_get_error();
  if (code == 0) {
    return "connection closed";
  }
  ERR_error_string_n(code, text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

/// Connects one socket; empty when it did not work, with the reason in `problem`.
Fd connect_to(int family, const sockaddr* address, socklen_t size, const StopFd& stop,
              std::string& problem) {
  Fd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    problem = connect_text(errno);
    return {};
  }
  if (::connect(fd.get(), address, size) != 0 && errno != EINPROGRESS) {
    problem = connect_text(errno);
    return {};
  }
  std::array<pollfd, 1> fds{{{.fd = fd.get(), .events = POLLOUT, .revents = 0}}};
  const WaitResult waited =
      wait_any(fds, stop, std::chrono::steady_clock::now() + k_connect_patience);
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (waited != WaitResult::ready || error != 0) {
    problem = error != 0 ? connect_text(error) : "no answer";
    return {};
  }
  return fd;
}

bool is_ip_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), bytes.data()) == 1;
}

/// SSL_set_tlsext_host_name is a macro with a cast of its own.
bool announce_name(SSL* ssl, std::string host) {
  return SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, host.data()) == 1;
}

struct ContextDeleter {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

using Context = std::unique_ptr<SSL_CTX, ContextDeleter>;

/// Files that cannot be used are a wrong configuration.
Result<Context> make_context(const TlsConfig& tls) {
  Context context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const bool trusted = tls.ca_file.empty() ? SSL_CTX_set_default_verify_paths(context.get()) == 1
                                           : SSL_CTX_load_verify_locations(
                                                 context.get(), tls.ca_file.c_str(), nullptr) == 1;
  if (!trusted) {
    return failure(ErrorKind::denied, "REDIS_TLS_CA_FILE cannot be used: " + tls_text());
  }
  if (!tls.certificate_file.empty() &&
      (SSL_CTX_use_certificate_chain_file(context.get(), tls.certificate_file.c_str()) != 1 ||
       SSL_CTX_use_PrivateKey_file(context.get(), tls.key_file.c_str(), SSL_FILETYPE_PEM) != 1)) {
    return failure(ErrorKind::denied,
                   "REDIS_TLS_CERT_FILE or REDIS_TLS_KEY_FILE cannot be used: " + tls_text());
  }
  return context;
}

}  // namespace

void Transport::SslDeleter::operator()(ssl_st* ssl) const {
  SSL_free(ssl);
}

Transport::~Transport() = default;

Result<std::unique_ptr<Transport>> Transport::dial(const RedisAddress& address,
                                                   const TlsConfig& tls,
                                                   const std::stop_token& stop) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status =
      ::getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &found);
  if (status != 0) {
    return failure(ErrorKind::unavailable,
                   std::string("its name cannot be resolved: ") + ::gai_strerror(status));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  const StopFd stop_fd(stop);
  std::string problem = "no address";
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    Fd fd = connect_to(one->ai_family, one->ai_addr, one->ai_addrlen, stop_fd, problem);
    if (stop.stop_requested()) {
      return failure(ErrorKind::cancelled, "stopped while connecting to redis");
    }
    if (fd) {
      tune(fd.get());
      std::unique_ptr<Transport> transport(new Transport(std::move(fd)));
      if (tls.enabled) {
        BUILDER_TRY(transport->start_tls(address.host, tls, stop));
      }
      return transport;
    }
  }
  return failure(ErrorKind::unavailable, std::move(problem));
}

Result<std::unique_ptr<Transport>> Transport::dial_socket(const std::string& path,
                                                          const std::stop_token& stop) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return failure(ErrorKind::invalid_input, "the socket's path is too long");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  sockaddr_storage storage{};
  std::memcpy(&storage, &address, sizeof address);
  const StopFd stop_fd(stop);
  std::string problem;
  const void* generic = &storage;
  Fd fd =
      connect_to(AF_UNIX, static_cast<const sockaddr*>(generic), sizeof address, stop_fd, problem);
  if (!fd) {
    return failure(ErrorKind::unavailable, std::move(problem));
  }
  return std::unique_ptr<Transport>(new Transport(std::move(fd)));
}

Result<> Transport::start_tls(const std::string& host, const TlsConfig& tls,
                              const std::stop_token& stop) {
  BUILDER_TRY_ASSIGN(const Context context, make_context(tls));
  ssl_.reset(SSL_new(context.get()));
  // The certificate must be for the name or address that is configured.
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl_.get());
  const bool named = is_ip_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) == 1
                                         : SSL_set1_host(ssl_.get(), host.c_str()) == 1 &&
                                               announce_name(ssl_.get(), host);
  if (!named || SSL_set_fd(ssl_.get(), fd_.get()) != 1) {
    return failure(ErrorKind::internal, "TLS cannot be set up: " + tls_text());
  }
  const SteadyTime deadline = std::chrono::steady_clock::now() + k_connect_patience;
  for (;;) {
    ERR_clear_error();
    const int result = SSL_connect(ssl_.get());
    if (result == 1) {
      return {};
    }
    const Attempt attempt = tls_result(result);
    if (attempt.failed) {
      const long verdict = SSL_get_verify_result(ssl_.get());
      return failure(
          verdict == X509_V_OK ? ErrorKind::unavailable : ErrorKind::denied,
          "TLS: " + (verdict == X509_V_OK ? tls_text() : X509_verify_cert_error_string(verdict)));
    }
    BUILDER_TRY(wait_until(attempt.want, stop, deadline));
  }
}

Transport::Attempt Transport::tls_result(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return {.want = Want::readable};
    case SSL_ERROR_WANT_WRITE:
      return {.want = Want::writable};
    default:
      return {.failed = true};
  }
}

Transport::Attempt Transport::try_read(std::span<char> buffer) {
  if (ssl_) {
    std::size_t count = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &count);
    return result == 1 ? Attempt{.count = count} : tls_result(result);
  }
  const ssize_t count = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
  if (count > 0) {
    return {.count = static_cast<std::size_t>(count)};
  }
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
    return {.want = Want::readable};
  }
  return {.failed = true};
}

Transport::Attempt Transport::try_write(std::string_view bytes) {
  if (ssl_) {
    std::size_t count = 0;
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &count);
    return result == 1 ? Attempt{.count = count} : tls_result(result);
  }
  const ssize_t count = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (count > 0) {
    return {.count = static_cast<std::size_t>(count)};
  }
  if (errno == EAGAIN || errno == EINTR) {
    return {.want = Want::writable};
  }
  return {.failed = true};
}

Result<> Transport::wait_until(Want want, const std::stop_token& stop, SteadyTime deadline) {
  const StopFd stop_fd(stop);
  std::array<pollfd, 1> fds{
      {{.fd = fd_.get(),
        .events = static_cast<short>(want == Want::writable ? POLLOUT : POLLIN),
        .revents = 0}}};
  switch (wait_any(fds, stop_fd, deadline)) {
    case WaitResult::stopped:
      return failure(ErrorKind::cancelled, "stopped while waiting for redis");
    case WaitResult::deadline:
      return failure(ErrorKind::timed_out, "no answer");
    case WaitResult::ready:
      break;
  }
  return {};
}

Result<> Transport::write(std::string_view bytes, const std::stop_token& stop,
                          SteadyTime deadline) {
  while (!bytes.empty()) {
    const Attempt attempt = try_write(bytes);
    if (attempt.failed) {
      return failure(ErrorKind::unavailable, ssl_ ? tls_text() : errno_text());
    }
    bytes.remove_prefix(attempt.count);
    if (attempt.want != Want::nothing) {
      BUILDER_TRY(wait_until(attempt.want, stop, deadline));
    }
  }
  return {};
}

Result<std::size_t> Transport::read(std::span<char> buffer, const std::stop_token& stop,
                                    SteadyTime deadline) {
  for (;;) {
    errno = 0;
    const Attempt attempt = try_read(buffer);
    if (attempt.failed) {
      const bool closed = errno == 0 || ssl_;
      return failure(ErrorKind::unavailable, closed ? "the connection was closed" : errno_text());
    }
    if (attempt.want == Want::nothing) {
      return attempt.count;
    }
    BUILDER_TRY(wait_until(attempt.want, stop, deadline));
  }
}

}  // namespace builder::adapters::redis
