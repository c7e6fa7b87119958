#pragma once

#include "base/result.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace builder::app {

struct EndpointPages {
  std::function<std::vector<std::string>()> not_ready_reasons;
  /// What does not keep the worker from being ready.
  std::function<std::vector<std::string>()> warnings;
  std::function<std::string()> metrics;
};

/// Serves `GET /healthz` (the process lives), `GET /readyz` (200, or 503 with the reasons) and
/// `GET /metrics` until it is destroyed, on one thread of its own; the pages are made there and
/// must not wait. Whatever clients do, it holds at most 128 connections of 8 KiB and an answer
/// each, each for at most five seconds; the oldest makes room for the next.
class HttpEndpoint {
 public:
  /// `address` is host:port; port 0 picks a free one. `conflict`: another process listens there.
  static Result<std::unique_ptr<HttpEndpoint>> start(const std::string& address,
                                                     EndpointPages pages);
  virtual ~HttpEndpoint() = default;
  [[nodiscard]] virtual int port() const = 0;
};

}  // namespace builder::app
