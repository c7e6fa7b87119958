#pragma once

#include "base/sync.hpp"
#include "domain/build_event.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>

namespace builder::adapters::oci {

/// What an engine says of the layers it pushes; 0: it does not say.
struct PushedBytes {
  std::uint64_t sent = 0;
  std::uint64_t total = 0;
};

/// Tells the customer how far a push is that lasts: for the first ten seconds nothing, then a line
/// every ten; every thirty where nobody knows more than that it lasts. On a thread of its own,
/// which ends with the object: an engine may say nothing until the push is over.
class PushProgress {
 public:
  /// `interval` is ten seconds, but in tests.
  explicit PushProgress(domain::EventSink& events,
                        std::chrono::milliseconds interval = std::chrono::seconds(10));

  void at(PushedBytes bytes) { *bytes_.lock() = bytes; }

 private:
  void run(const std::stop_token& stop);

  domain::EventSink& events_;
  const std::chrono::milliseconds interval_;
  Sync<PushedBytes> bytes_;
  std::jthread thread_;
};

/// `before`: what was sent when the line before was written, `since` ago; `lasted`: since the
/// begin.
std::string push_line(PushedBytes now, std::uint64_t before, std::chrono::duration<double> since,
                      std::chrono::duration<double> lasted);

}  // namespace builder::adapters::oci
