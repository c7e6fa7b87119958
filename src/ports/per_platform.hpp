#pragma once

#include "base/result.hpp"
#include "domain/base_image.hpp"
#include "domain/build_event.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace builder::ports {

/// A build for the platform with this number in the list.
using BuildForPlatform =
    std::function<Result<>(const JobContext& job, std::size_t number, domain::EventSink& events)>;

/// Builds for each platform at once. The first error counts, bears its platform, and stops the
/// others; all have ended when this returns. `build` is called by several threads; what it tells
/// bears the platform. `events` is thread-safe.
Result<> build_for_each(const JobContext& job, const std::vector<std::string>& platforms,
                        domain::EventSink& events, const BuildForPlatform& build);

/// The same for builds that make something: all of it, in the order of the platforms.
/// `make(const JobContext&, const std::string& platform, domain::EventSink&)` gives `Result<Made>`.
template <class Made, class Make>
Result<std::vector<Made>> make_for_each(const JobContext& job,
                                        const std::vector<std::string>& platforms,
                                        domain::EventSink& events, const Make& make) {
  std::vector<Made> all(platforms.size());
  BUILDER_TRY(build_for_each(
      job, platforms, events,
      [&](const JobContext& stoppable, std::size_t number, domain::EventSink& told) -> Result<> {
        BUILDER_TRY_ASSIGN(all[number], make(stoppable, platforms[number], told));
        return {};
      }));
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
