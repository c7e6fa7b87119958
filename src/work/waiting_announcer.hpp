#pragma once

#include "base/backoff.hpp"
#include "base/log.hpp"
#include "base/log_throttle.hpp"
#include "base/stop.hpp"
#include "base/sync.hpp"
#include "domain/waiting.hpp"
#include "ports/deployment_reporter.hpp"
#include "ports/metrics.hpp"
#include "ports/waiting_room.hpp"

#include <chrono>
#include <functional>
#include <vector>

namespace builder::work {

struct AnnouncerSettings {
  /// False while the platform would not get a post.
  std::function<bool()> may_post;
  std::chrono::milliseconds interval{5'000};
  std::chrono::milliseconds patience = domain::WaitingNotices::k_patience;
};

/// Tells deployments that wait in the queue, in their logs, which place they have. Of all workers
/// of the queue one does so at a time.
///
/// Nobody waits for it: it has a thread and a connection of its own, posts one line at a time, and
/// is silent while the platform is away. What a post is answered with says nothing about the
/// platform to anybody else: the queue may hold jobs that are not the platform's.
class WaitingAnnouncer {
 public:
  /// The references outlive it.
  WaitingAnnouncer(ports::WaitingRoom& room, ports::DeploymentReporter& reporter,
                   AnnouncerSettings settings, ports::Metrics& metrics, Log log);

  /// Until `stop`. Called once.
  void run(const std::stop_token& stop);

  /// A deployment kept a slot for so long and has ended. Any thread.
  void built(std::chrono::steady_clock::duration took);

 private:
  /// Looks, and posts what is due; how long to wait before the next time.
  std::chrono::milliseconds round(const std::stop_token& stop);
  [[nodiscard]] Result<> announce(const domain::DeploymentId& deployment,
                                  const domain::WaitingNotice& notice, const std::stop_token& stop);
  std::chrono::milliseconds trouble(const Error& error);

  ports::WaitingRoom& room_;
  ports::DeploymentReporter& reporter_;
  const AnnouncerSettings settings_;
  ports::Metrics& metrics_;
  const Log log_;
  Sync<std::vector<std::chrono::milliseconds>> took_;  ///< Not told to the queue yet.
  domain::WaitingNotices notices_{settings_.patience};
  std::mt19937_64 random_ = make_random();
  int troubles_ = 0;
  LogThrottle throttle_;
};

}  // namespace builder::work
