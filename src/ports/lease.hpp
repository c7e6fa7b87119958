#pragma once

#include <memory>
#include <stop_token>

namespace builder::ports {

/// The right to act on what was taken from the queue. The peers cannot tell a worker that has been
/// asleep for an hour from the one that took over its jobs, so everything they cannot take back (a
/// status, a log row, a moved tag) is sent only while the lease holds. Thread-safe.
class Lease {
 public:
  virtual ~Lease() = default;
  /// The queue confirmed it a short while ago: nobody else can have our jobs yet.
  [[nodiscard]] virtual bool holds() const = 0;
  /// Waits until it holds, as it does again when the queue was only out of reach; false on stop and
  /// when it was lost for good.
  [[nodiscard]] virtual bool wait(const std::stop_token& stop) const = 0;
};

}  // namespace builder::ports
