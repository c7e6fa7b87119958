#pragma once

#include "app/health/page_queue.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace builder::app {

struct EndpointPages {
  std::function<std::vector<std::string>()> not_ready_reasons;
  /// What does not keep the worker from being ready.
  std::function<std::vector<std::string>()> warnings;
  std::function<std::string()> metrics;

  /// `/history` and what is below it, for whoever shows the token. None: there are no such pages.
  struct History {
    Secret token;
    PageQueue::Make make;  ///< May wait: it has a thread of its own.
  };

  std::optional<History> history = {};
};

/// Serves `GET /healthz` (the process lives), `GET /readyz` (200, or 503 with the reasons),
/// `GET /metrics` and the history until it is destroyed, on one thread of its own; the first three
/// are made there and must not wait. Whatever clients do, it holds at most 128 connections of 8 KiB
/// and an answer each, each for at most five seconds; the oldest makes room for the next. Pages of
/// the history are made elsewhere, and at most 16 of them are held at a time.
class HttpEndpoint {
 public:
  /// `address` is host:port; port 0 picks a free one. `conflict`: another process listens there.
  static Result<std::unique_ptr<HttpEndpoint>> start(const std::string& address,
                                                     EndpointPages pages);
  virtual ~HttpEndpoint() = default;
  [[nodiscard]] virtual int port() const = 0;
};

}  // namespace builder::app
