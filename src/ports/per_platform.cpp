#include "ports/per_platform.hpp"

#include "domain/customer_line.hpp"
#include "ports/platform_events.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cstdint>
#include <future>
#include <mutex>
#include <stop_token>
#include <utility>

namespace builder::ports {

namespace {

Error of_platform(Error error, const std::string& platform) {
  error = std::move(error).with_context(platform);
  if (!error.customer.empty() && !error.customer.contains(platform)) {
    error.customer = domain::customer_line(fmt::format("[{}] {}", platform, error.customer));
  }
  return error;
}

}  // namespace

Result<> build_for_each(const JobContext& job, const std::vector<std::string>& platforms,
                        domain::EventSink& events, const BuildForPlatform& build) {
  std::stop_source stop;
  const std::stop_callback stops_with_job(job.stop, [&stop] { stop.request_stop(); });
  JobContext stoppable = job;
  stoppable.stop = stop.get_token();
  std::atomic<std::uint32_t> last_step = 0;
  std::mutex mutex;
  std::optional<Error> first;
  const auto build_one = [&](std::size_t number) {
    PlatformEvents told(events, last_step, platforms[number]);
    Result<> built = build(stoppable, number, told);
    if (built) {
      return;
    }
    const std::scoped_lock lock(mutex);
    if (!first) {
      first = of_platform(std::move(built).error(), platforms[number]);
    }
    stop.request_stop();
  };
  std::vector<std::future<void>> running;
  for (std::size_t number = 0; number < platforms.size(); ++number) {
    // One after the other where no thread can be had.
    running.push_back(std::async(std::launch::async | std::launch::deferred, build_one, number));
  }
  for (auto& one : running) {
    one.get();
  }
  return first ? std::unexpected(*std::move(first)) : Result<>();
}

void TakenBases::add(const std::optional<std::vector<domain::BaseImage>>& bases,
                     const std::vector<domain::BaseImage>& tagged) {
  are_known_ = are_known_ && bases;
  for (const auto& base : bases.value_or(std::vector<domain::BaseImage>())) {
    const auto [known, is_new] = bases_.emplace(base.name, base.digest);
    are_known_ = are_known_ && (is_new || known->second == base.digest);
  }
  for (const auto& base : tagged) {
    const auto [known, is_new] = tagged_.emplace(base.name, base.digest);
    if (!is_new && known->second != base.digest) {
      several_.insert(base.name);
    }
  }
}

void TakenBases::tell(PublishResult& result) const {
  if (are_known_) {
    result.bases.emplace();
    for (const auto& [name, digest] : bases_) {
      result.bases->push_back({.name = name, .digest = digest});
    }
  }
  for (const auto& [name, digest] : tagged_) {
    if (!several_.contains(name)) {
      result.tagged.push_back({.name = name, .digest = digest});
    }
  }
}

}  // namespace builder::ports
