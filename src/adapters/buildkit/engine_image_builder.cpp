#include "adapters/buildkit/image_builder.hpp"
#include "adapters/oci/retrying_push.hpp"

#include <fmt/format.h>

#include <utility>

namespace builder::adapters::buildkit {

namespace {

using Clock = std::chrono::steady_clock;
using WallClock = std::chrono::system_clock;
using ports::JobContext;
using ports::Repository;

/// A tag of another deployment this old belongs to no build under way.
constexpr std::chrono::hours k_leftover_age{1};

class EngineImageBuilder final : public ports::ImageBuilder {
 public:
  EngineImageBuilder(PublishPeers peers, docker::Engine& engine, Log log)
      : peers_(peers), engine_(engine), log_(std::move(log)) {}

  Result<ports::PublishResult> publish(const JobContext& job, const ports::ImageSpec& image,
                                       domain::EventSink& events) override {
    const auto begin = Clock::now();
    auto solved = peers_.solver.solve(
        job,
        {.service_id = image.service_id,
         .context = image.context,
         .dockerfile = image.dockerfile,
         .exporter = "moby",
         .exporter_attributes = {{"name", image.repository.uri + ":" + image.tag}},
         .repository = image.repository},
        events);
    const auto built = Clock::now();
    if (!solved) {
      return std::unexpected(std::move(solved).error().error.with_context("building image"));
    }
    auto pushed = push(job, image, events);
    if (!pushed) {
      return std::unexpected(std::move(pushed).error().with_context("pushing image"));
    }
    return ports::PublishResult{
        .image = {.repository = image.repository, .tag = image.tag, .digest = pushed->digest},
        .figures = {.context_bytes_sent = solved->context_bytes_sent,
                    .bytes_pushed = pushed->bytes_pushed,
                    .build = built - begin,
                    .push = Clock::now() - built}};
  }

  void clean_up(const JobContext& job, const Repository& repository,
                const std::string& tag) override {
    const auto images = engine_.images_of(repository.uri, job.stop);
    if (!images) {
      log_.debug("clean-up: {}", images.error().message);
      return;
    }
    for (const docker::ImageSummary& image : *images) {
      if (image.tags.empty()) {
        remove(job, image.id);
        continue;
      }
      for (const std::string& name : image.tags) {
        if (!name.starts_with(repository.uri + ":")) {
          continue;
        }
        const auto tagged = engine_.last_tagged(name, job.stop);
        const bool is_old = tagged && *tagged && WallClock::now() - **tagged > k_leftover_age;
        if (name == repository.uri + ":" + tag || is_old) {
          remove(job, name);
        }
      }
    }
  }

 private:
  Result<docker::PushedImage> push(const JobContext& job, const ports::ImageSpec& image,
                                   domain::EventSink& events) {
    events.info("Pushing image");
    oci::RetryingPush retrying(peers_.registry, peers_.logins, job, image.repository, events, log_);
    for (;;) {
      BUILDER_TRY_ASSIGN(const ports::SharedLogin login, retrying.login());
      auto pushed = engine_.push(image.repository.uri, image.tag, login, job.stop, job.deadline);
      if (pushed) {
        events.info(fmt::format("Pushed {} ({:.1f} MB uploaded)", pushed->digest,
                                static_cast<double>(pushed->bytes_pushed) / 1e6));
        return *std::move(pushed);
      }
      BUILDER_TRY(retrying.recover(std::move(pushed).error()));
    }
  }

  void remove(const JobContext& job, const std::string& image) {
    if (const auto removed = engine_.remove(image, job.stop); !removed) {
      log_.debug("clean-up of {}: {}", image, removed.error().message);
    }
  }

  const PublishPeers peers_;
  docker::Engine& engine_;
  const Log log_;
};

}  // namespace

std::unique_ptr<ports::ImageBuilder> make_engine_image_builder(PublishPeers peers,
                                                               docker::Engine& engine, Log log) {
  return std::make_unique<EngineImageBuilder>(peers, engine, std::move(log));
}

}  // namespace builder::adapters::buildkit
