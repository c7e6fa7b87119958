#pragma once

#include "base/result.hpp"
#include "domain/ids.hpp"

#include <functional>
#include <stop_token>

namespace builder::ports {

/// The platform's cancel messages (pub/sub: no history).
class CancelFeed {
 public:
  virtual ~CancelFeed() = default;
  /// Subscribes and calls `on_cancel` on the calling thread for every well-formed message, until
  /// stop. Reconnects by itself with back-off; malformed messages are logged and counted.
  virtual void run(const std::stop_token& stop,
                   const std::function<void(const domain::DeploymentId&)>& on_cancel) = 0;
  /// Whether the subscription stands, or why not.
  [[nodiscard]] virtual Result<> subscribed() const = 0;
};

}  // namespace builder::ports
