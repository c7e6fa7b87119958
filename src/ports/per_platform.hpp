#pragma once

#include "base/result.hpp"
#include "domain/base_image.hpp"
#include "domain/build_event.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"
#include "ports/platform_events.hpp"

#include <atomic>
#include <cstdint>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace builder::ports {

/// The error of a build for one platform, of several.
Error of_platform(Error error, const std::string& platform);

/// What is made for each platform at once, in their order. The first error counts, bears its
/// platform, and stops the others; all have ended when this returns.
///
/// `make(const JobContext&, const std::string& platform, domain::EventSink&)` gives `Result<Made>`
/// and is called by several threads; what it tells bears the platform. `events` is thread-safe.
template <class Made, class Make>
Result<std::vector<Made>> make_for_each(const JobContext& job,
                                        const std::vector<std::string>& platforms,
                                        domain::EventSink& events, const Make& make) {
  std::stop_source stop;
  const std::stop_callback stops_with_job(job.stop, [&stop] { stop.request_stop(); });
  JobContext stoppable = job;
  stoppable.stop = stop.get_token();
  std::atomic<std::uint32_t> last_step = 0;
  std::mutex mutex;
  std::optional<Error> first;
  const auto make_one = [&](const std::string& platform) -> std::optional<Made> {
    PlatformEvents told(events, last_step, platform);
    Result<Made> made = make(stoppable, platform, told);
    if (made) {
      return *std::move(made);
    }
    const std::scoped_lock lock(mutex);
    if (!first) {
      first = of_platform(std::move(made).error(), platform);
    }
    stop.request_stop();
    return std::nullopt;
  };
  std::vector<std::future<std::optional<Made>>> running;
  running.reserve(platforms.size());
  for (const std::string& platform : platforms) {
    // One after the other where no thread can be had.
    running.push_back(std::async(std::launch::async | std::launch::deferred, make_one, platform));
  }
  std::vector<Made> all;
  for (auto& one : running) {
    if (auto made = one.get()) {
      all.push_back(*std::move(made));
    }
  }
  if (first) {
    return std::unexpected(*std::move(first));
  }
  return all;
}

/// What images for several platforms took together: nothing that two of them took in two versions.
class TakenBases {
 public:
  /// As of `PublishResult`.
  void add(const std::optional<std::vector<domain::BaseImage>>& bases,
           const std::vector<domain::BaseImage>& tagged);
  void tell(PublishResult& result) const;

 private:
  bool are_known_ = true;
  std::map<std::string, std::string> bases_;  // Name -> digest.
  std::map<std::string, std::string> tagged_;
  std::set<std::string> several_;
};

}  // namespace builder::ports
