#include "app/http_endpoint.hpp"

#include "base/fd.hpp"

#include <httplib.h>

#include <netdb.h>
#include <sys/socket.h>

#include <cerrno>
#include <system_error>
#include <thread>
#include <utility>

namespace builder::app {

namespace {

constexpr std::size_t k_threads = 2;
constexpr std::size_t k_largest_request = 16 * 1024;

class HttplibEndpoint final : public HttpEndpoint {
 public:
  explicit HttplibEndpoint(EndpointPages pages) : pages_(std::move(pages)) {
    server_.new_task_queue = [] { return new httplib::ThreadPool(k_threads); };
    server_.set_payload_max_length(k_largest_request);
    // Not httplib's own option, which lets two processes share one address in silence.
    server_.set_socket_options([](int socket) {
      const int on = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    });
    server_.Get("/healthz", [](const httplib::Request&, httplib::Response& response) {
      response.set_content("ok\n", "text/plain; charset=utf-8");
    });
    server_.Get("/readyz", [this](const httplib::Request&, httplib::Response& response) {
      const auto reasons = pages_.not_ready_reasons();
      std::string text = reasons.empty() ? "ready\n" : "";
      for (const std::string& reason : reasons) {
        text += reason + "\n";
      }
      for (const std::string& warning : pages_.warnings()) {
        text += "warning: " + warning + "\n";
      }
      response.status = reasons.empty() ? 200 : 503;
      response.set_content(text, "text/plain; charset=utf-8");
    });
    server_.Get("/metrics", [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(pages_.metrics(), "text/plain; version=0.0.4; charset=utf-8");
    });
  }

  ~HttplibEndpoint() override { server_.stop(); }

  /// Why nobody can listen there now, as errno has it; 0: somebody could.
  static int bind_error(const std::string& host, int port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE;
    addrinfo* found = nullptr;
    if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
      return EADDRNOTAVAIL;
    }
    int error = 0;
    for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
      const Fd socket(::socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const int on = 1;
      ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
      error =
          ::bind(socket.get(), at->ai_addr, at->ai_addrlen) == 0 && ::listen(socket.get(), 1) == 0
              ? 0
              : errno;
      if (error == 0) {
        break;
      }
    }
    ::freeaddrinfo(found);
    return error;
  }

  bool bind(const std::string& host, int port) {
    if (port == 0) {
      port_ = server_.bind_to_any_port(host);
    } else {
      port_ = server_.bind_to_port(host, port) ? port : -1;
    }
    if (port_ <= 0) {
      return false;
    }
    thread_ = std::jthread([this] { server_.listen_after_bind(); });
    // `stop` before the server listens would be lost.
    while (!server_.is_running()) {
      std::this_thread::yield();
    }
    return true;
  }

  [[nodiscard]] int port() const override { return port_; }

 private:
  EndpointPages pages_;
  httplib::Server server_;
  int port_ = -1;
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
  auto endpoint = std::make_unique<HttplibEndpoint>(std::move(pages));
  const int port = std::stoi(address.substr(colon + 1));
  if (!endpoint->bind(host, port)) {
    const int error = HttplibEndpoint::bind_error(host, port);
    return failure(error == EADDRINUSE || error == 0 ? ErrorKind::conflict : ErrorKind::internal,
                   "HTTP_LISTEN: cannot listen on " + address + ": " +
                       std::generic_category().message(error == 0 ? EADDRINUSE : error));
  }
  return endpoint;
}

}  // namespace builder::app
