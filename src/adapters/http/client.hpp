#pragma once

#include "adapters/http/message.hpp"
#include "adapters/http/proxy.hpp"
#include "base/result.hpp"
#include "base/stop.hpp"

#include <cstdint>
#include <memory>
#include <stop_token>

namespace builder::adapters::http {

/// How exchanges that failed without an answer ended, counted since the start. After an ambiguous
/// one nobody knows whether the peer acted on the request.
struct FailureCounts {
  std::uint64_t surely_not_sent = 0;
  std::uint64_t ambiguous = 0;
};

/// An HTTP client for every peer of the service. Thread-safe; connections are kept alive and
/// reused, the most recently used one first. Never follows a redirect, speaks only http and https.
class Client {
 public:
  virtual ~Client() = default;
  /// One exchange, no retry. Any answer is a Response, whatever its status; errors are failures
  /// of the exchange itself: `conflict` (`may_send` said no), `unavailable` (refused, reset, cut
  /// short, no such host), `timed_out`, `cancelled` (within milliseconds of `stop`),
  /// `invalid_input` (the request cannot be sent), `internal` (the answer is larger than allowed,
  /// or `on_body` ended the exchange). The message says whether the request may have reached the
  /// peer, and holds no header and no query.
  virtual Result<Response> send(const Request& request, const std::stop_token& stop,
                                SteadyTime deadline) = 0;
  [[nodiscard]] virtual FailureCounts failures() const = 0;
};

std::unique_ptr<Client> make_client(Proxies proxies = Proxies::of_process());

}  // namespace builder::adapters::http
