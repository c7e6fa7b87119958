#pragma once

#include "app/health/http_endpoint.hpp"
#include "base/log.hpp"

#include <memory>
#include <string>
#include <thread>

namespace builder::app {

/// Health and metrics at HTTP_LISTEN. Where another process still has the address (the one this
/// one takes over from), it is asked for again, on a thread of its own, until it is free.
class Endpoint {
 public:
  /// `address` empty: none. Errors: the address cannot be had at all. The pages are asked until the
  /// object is gone.
  static Result<std::unique_ptr<Endpoint>> start(const std::string& address, EndpointPages pages,
                                                 const Log& log);
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

 private:
  Endpoint() = default;

  std::unique_ptr<HttpEndpoint> http_;  ///< The thread's, as long as there is one.
  std::jthread late_;
};

}  // namespace builder::app
