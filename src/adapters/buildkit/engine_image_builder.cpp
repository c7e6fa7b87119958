#include "adapters/buildkit/client/engine_info.hpp"
#include "adapters/buildkit/diagnosis/build_error.hpp"
#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "adapters/buildkit/image_builder.hpp"
#include "adapters/oci/push_progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
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
  EngineImageBuilder(PublishPeers peers, docker::Engine& engine,
                     std::unique_ptr<ports::ImageBuilder> direct)
      : peers_(peers), engine_(engine), direct_(std::move(direct)) {}

  Result<ports::PublishResult> publish(const JobContext& job, const ports::ImageSpec& image,
                                       domain::EventSink& events) override {
    if (exports_to_registry(job)) {
      return direct_->publish(job, image, events);
    }
    if (image.options.platform.contains(',')) {
      return std::unexpected(
          Error{.kind = ErrorKind::invalid_input,
                .message = "this Docker Engine keeps images for one platform each (its image store "
                           "is the old one): a BuildKit of its own makes several (BUILDKIT_HOST)",
                .customer = "The build engine makes images for one platform at a time: name one "
                            "platform"});
    }
    for (;;) {
      BUILDER_TRY_ASSIGN(const Built built, build(job, image, events));
      BUILDER_TRY_ASSIGN(auto published, push_all(job, image, events));
      if (published) {
        published->figures.context_bytes_sent = built.context_bytes_sent;
        published->figures.build = built.took;
        published->bases = built.bases;
        published->tagged = built.tagged;
        return *std::move(published);
      }
      job.log.warning("{}:{} was removed from the engine before it was pushed",
                      image.repository.uri, image.tag);
      if (!job.retries->take()) {
        return failure(ErrorKind::unavailable,
                       "the engine's images are removed while they are pushed (an image prune that "
                       "runs all the time?)");
      }
      events.warning(
          "The image was removed from the engine before it was pushed; building it again");
    }
  }

  Result<std::optional<ports::PublishResult>> publish_built(const JobContext& job,
                                                            const Repository& repository,
                                                            const std::string& tag,
                                                            const std::string& image_id,
                                                            domain::EventSink& events) override {
    if (exports_to_registry(job)) {
      return direct_->publish_built(job, repository, tag, image_id, events);
    }
    const std::string name = repository.uri + ":" + tag;
    const auto images = engine_.images_of(repository.uri, job.stop);
    const bool is_there =
        images && std::ranges::any_of(*images, [&](const docker::ImageSummary& image) {
          return image.id == image_id && std::ranges::find(image.tags, name) != image.tags.end();
        });
    if (!is_there) {
      return std::nullopt;
    }
    return push(job, repository, tag, events);
  }

  Result<std::vector<domain::BaseImage>> find_bases(
      const JobContext& job, const Repository& repository,
      const std::vector<std::string>& names) override {
    return peers_.solver.find_bases(job, repository, names);
  }

  void clean_up(const JobContext& job, const Repository& repository,
                const std::string& tag) override {
    if (exports_to_registry(job)) {
      direct_->clean_up(job, repository, tag);
      return;
    }
    const auto images = engine_.images_of(repository.uri, job.stop);
    if (!images) {
      job.log.debug("clean-up: {}", images.error().message);
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
  struct Built {
    std::uint64_t context_bytes_sent = 0;
    Clock::duration took{0};
    std::optional<std::vector<domain::BaseImage>> bases;
    std::vector<domain::BaseImage> tagged;
  };

  Result<Built> build(const JobContext& job, const ports::ImageSpec& image,
                      domain::EventSink& events) {
    const auto begin = Clock::now();
    SolveSpec spec = solve_of(image, ImageEpoch::off);
    spec.exporter = "moby";
    auto solved = peers_.solver.solve(job, spec, events);
    const auto took = Clock::now() - begin;
    if (!solved) {
      return std::unexpected(std::move(solved).error().error.with_context("building image"));
    }
    if (const auto id = solved->exporter_response.find("containerimage.digest");
        id != solved->exporter_response.end()) {
      BUILDER_TRY(check_machines(job, {peers_.solver, engine_}, image, id->second));
      image.on_built(id->second);
    }
    return Built{.context_bytes_sent = solved->context_bytes_sent,
                 .took = took,
                 .bases = std::move(solved->bases),
                 .tagged = std::move(solved->tagged)};
  }

  /// An Engine that cannot be asked is away; what is done next says so.
  bool exports_to_registry(const JobContext& job) {
    const auto engine = peers_.solver.known_engine(job.stop);
    return engine && engine->exports_to_registry;
  }

  /// What came of the first name; nullopt: the engine does not have the image any more.
  Result<std::optional<ports::PublishResult>> push_all(const JobContext& job,
                                                       const ports::ImageSpec& image,
                                                       domain::EventSink& events) {
    BUILDER_TRY_ASSIGN(auto published, push(job, image.repository, image.tag, events));
    for (const ports::ImageName& name : image.more_names) {
      if (published) {
        BUILDER_TRY_ASSIGN(const auto more, push(job, name.repository, name.tag, events));
        published = more ? published : std::nullopt;
      }
    }
    return published;
  }

  /// nullopt: the engine does not have the image any more.
  Result<std::optional<ports::PublishResult>> push(const JobContext& job,
                                                   const Repository& repository,
                                                   const std::string& tag,
                                                   domain::EventSink& events) {
    const auto begin = Clock::now();
    auto pushed = push_until_done(job, repository, tag, events);
    if (!pushed) {
      return std::unexpected(std::move(pushed).error().with_context("pushing image"));
    }
    if (!*pushed) {
      return std::nullopt;
    }
    return ports::PublishResult{
        .image = {.repository = repository, .tag = tag, .digest = (*pushed)->digest},
        .figures = {.bytes_pushed = (*pushed)->bytes_pushed, .push = Clock::now() - begin}};
  }

  Result<std::optional<docker::PushedImage>> push_until_done(const JobContext& job,
                                                             const Repository& repository,
                                                             const std::string& tag,
                                                             domain::EventSink& events) {
    events.info("Pushing image");
    oci::RetryingPush retrying(peers_.registry, peers_.logins, job, repository, events,
                               peers_.patience);
    for (;;) {
      BUILDER_TRY_ASSIGN(const ports::SharedLogin login, retrying.login());
      oci::PushProgress progress(events);
      auto pushed = engine_.push(repository.uri, tag, login, job.stop, job.deadline,
                                 [&events, &progress](oci::PushedBytes bytes) {
                                   events.emit(domain::Activity{});
                                   progress.at(bytes);
                                 });
      if (pushed) {
        retrying.succeeded();
        events.info(fmt::format("Pushed {} ({:.1f} MB uploaded)", pushed->digest,
                                static_cast<double>(pushed->bytes_pushed) / 1e6));
        return *std::move(pushed);
      }
      if (pushed.error().fault == oci::PushFault::image_missing) {
        return std::nullopt;
      }
      BUILDER_TRY(retrying.recover(std::move(pushed).error()));
    }
  }

  void remove(const JobContext& job, const std::string& image) {
    if (const auto removed = engine_.remove(image, job.stop); !removed) {
      job.log.debug("clean-up of {}: {}", image, removed.error().message);
    }
  }

  const PublishPeers peers_;
  docker::Engine& engine_;
  const std::unique_ptr<ports::ImageBuilder> direct_;
};

}  // namespace

Result<> check_machines(const JobContext& job, const KeepingEngine& engine,
                        const ports::ImageSpec& image, const std::string& id) {
  const auto known = engine.solver.known_engine(job.stop);
  if (!known || names_foreign_bases(*known) || !image.options.platform.empty()) {
    return {};
  }
  const auto details = engine.docker.inspect(id, job.stop);
  if (!details) {
    job.log.warning("the image's architecture is not known: {}", details.error().message);
    return {};
  }
  const auto text = ports::read_file(image.of_dockerfile(), image.dockerfile, k_dockerfile_limit);
  auto foreign =
      text ? wrong_platform(image.dockerfile, *text, {}, details->architecture) : std::nullopt;
  return foreign ? Result<>(std::unexpected(*std::move(foreign))) : Result<>();
}

std::unique_ptr<ports::ImageBuilder> make_engine_image_builder(
    PublishPeers peers, docker::Engine& engine, std::unique_ptr<ports::ImageBuilder> direct) {
  return std::make_unique<EngineImageBuilder>(peers, engine, std::move(direct));
}

}  // namespace builder::adapters::buildkit
