#include "adapters/cnb/several_platforms.hpp"

#include "adapters/oci/index.hpp"
#include "base/text.hpp"
#include "domain/buildpacks/result.hpp"
#include "domain/platform_name.hpp"
#include "ports/per_platform.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::cnb {

namespace {

using Clock = std::chrono::steady_clock;
using ports::BuildpacksResult;
using ports::BuildpacksSpec;
using ports::JobContext;

/// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
constexpr std::size_t k_longest_tag = 128;

std::string tag_for(const std::string& tag, std::string platform) {
  std::ranges::replace(platform, '/', '-');
  std::string own = tag + "-" + platform;
  return own.size() <= k_longest_tag ? own : sha256_hex(own);
}

/// One image of the index, with what is told of its build.
struct Made {
  BuildpacksResult result;
  oci::Manifest manifest;
};

template <class Item>
void add_new(std::vector<Item>& all, const std::vector<Item>& more) {
  for (const Item& item : more) {
    if (std::ranges::find(all, item) == all.end()) {
      all.push_back(item);
    }
  }
}

class SeveralPlatforms final : public ports::BuildpacksBuilder {
 public:
  SeveralPlatforms(std::unique_ptr<ports::BuildpacksBuilder> one, CanBuild can_build,
                   PlatformPeers peers)
      : one_(std::move(one)), can_build_(std::move(can_build)), peers_(std::move(peers)) {}

  Result<BuildpacksResult> publish(const JobContext& job, const BuildpacksSpec& spec,
                                   domain::EventSink& events) override {
    std::vector<std::string> platforms = domain::platforms_in(spec.platform);
    if (platforms.size() > 1 && spec.may_leave_out) {
      BUILDER_TRY_ASSIGN(platforms, possible(job, spec, platforms, events));
    }
    return platforms.size() == 1 ? one_->publish(job, for_platform(spec, platforms.front()), events)
                                 : publish_index(job, spec, platforms, events);
  }

  Result<ports::ExportedImage> load(const JobContext& job, const BuildpacksSpec& spec,
                                    domain::EventSink& events) override {
    const std::vector<std::string> platforms = domain::platforms_in(spec.platform);
    if (platforms.size() == 1) {
      return one_->load(job, spec, events);
    }
    if (!spec.may_leave_out) {
      return std::unexpected(
          Error{.kind = ErrorKind::invalid_input,
                .message = "an engine takes the image for one platform",
                .customer = "An image for several platforms goes to a registry: --push REF"});
    }
    BUILDER_TRY_ASSIGN(const auto kept, possible(job, spec, platforms, events));
    return one_->load(job, for_platform(spec, kept.front()), events);
  }

 private:
  static BuildpacksSpec for_platform(BuildpacksSpec spec, const std::string& platform) {
    spec.platform = platform;
    return spec;
  }

  /// Those that an image can be built for; the error of the first where there is none.
  Result<std::vector<std::string>> possible(const JobContext& job, const BuildpacksSpec& spec,
                                            const std::vector<std::string>& platforms,
                                            domain::EventSink& events) {
    std::vector<std::string> kept;
    std::optional<Error> first;
    for (const std::string& platform : platforms) {
      auto can = can_build_(job, for_platform(spec, platform));
      if (can) {
        kept.push_back(platform);
        continue;
      }
      Error error = std::move(can).error();
      if (error.kind == ErrorKind::cancelled || error.is_transient()) {
        return std::unexpected(std::move(error));
      }
      events.warning(fmt::format("No image is made for {}: {}", platform,
                                 error.customer.empty() ? error.message : error.customer));
      if (!first) {
        first = std::move(error);
      }
    }
    if (kept.empty() && first) {
      return std::unexpected(*std::move(first));
    }
    return kept;
  }

  Result<BuildpacksResult> publish_index(const JobContext& job, const BuildpacksSpec& spec,
                                         const std::vector<std::string>& platforms,
                                         domain::EventSink& events) {
    const auto begin = Clock::now();
    BUILDER_TRY_ASSIGN(
        std::vector<Made> made,
        ports::make_for_each<Made>(
            job, platforms, events,
            [&](const JobContext& stoppable, const std::string& platform, domain::EventSink& told) {
              BuildpacksSpec own = for_platform(spec, platform);
              own.tag = tag_for(spec.tag, platform);
              return make(stoppable, own, told);
            }));
    const auto built = Clock::now();
    std::vector<oci::PlatformImage> images;
    for (std::size_t i = 0; i < platforms.size(); ++i) {
      const oci::Manifest& manifest = made[i].manifest;
      images.push_back({.platform = platforms[i],
                        .descriptor = {{"mediaType", manifest.media_type},
                                       {"digest", manifest.digest},
                                       {"size", manifest.bytes.size()}}});
    }
    const oci::Reference tagged = oci::reference_of(spec.repository, spec.tag);
    BUILDER_TRY_ASSIGN(const oci::Manifest index,
                       oci::make_index(peers_.images, job, tagged, images));
    oci::RetryingPush retrying(peers_.registry, peers_.logins, job, spec.repository, events,
                               peers_.patience);
    BUILDER_TRY(oci::push_index(peers_.images, job, tagged, index, retrying));
    for (const std::string& platform : platforms) {
      const auto moved = peers_.images.put(
          job, oci::reference_of(spec.repository, tag_for(spec.tag, platform)), index);
      if (!moved) {
        job.log.debug("the tag of the image for {} stays: {}", platform, moved.error().message);
      }
    }
    events.info(fmt::format("Pushed {} for {}", index.digest, fmt::join(platforms, ", ")));
    BuildpacksResult result = together(std::move(made));
    result.published.image = {
        .repository = spec.repository, .tag = spec.tag, .digest = index.digest};
    ports::PublishFigures& figures = result.published.figures;
    figures.build = built - begin - std::min(figures.push, built - begin);
    figures.push += Clock::now() - built;
    return result;
  }

  Result<Made> make(const JobContext& job, const BuildpacksSpec& spec, domain::EventSink& events) {
    auto result = one_->publish(job, spec, events);
    if (!result && result.error().kind == ErrorKind::conflict) {
      return made_before(job, spec, std::move(result).error());
    }
    BUILDER_TRY(result);
    const oci::Reference reference =
        oci::reference_of(spec.repository, {}).with_digest(result->published.image.digest);
    BUILDER_TRY_ASSIGN(oci::Manifest manifest, peers_.images.manifest(job, reference));
    return Made{.result = *std::move(result), .manifest = std::move(manifest)};
  }

  /// Where tags never move: the tag is this deployment's alone, so what has it was made for it.
  Result<Made> made_before(const JobContext& job, const BuildpacksSpec& spec, Error refused) {
    auto there =
        peers_.images.image(job, oci::reference_of(spec.repository, spec.tag), spec.platform);
    if (!there) {
      return std::unexpected(std::move(refused));
    }
    BuildpacksResult result;
    result.published.image = {
        .repository = spec.repository, .tag = spec.tag, .digest = there->manifest.digest};
    result.processes = domain::buildpacks::read_processes(there->config);
    return Made{.result = std::move(result), .manifest = std::move(there->manifest)};
  }

  /// What starts the app is that of the first.
  static BuildpacksResult together(std::vector<Made> made) {
    BuildpacksResult all = std::move(made.front().result);
    ports::TakenBases taken;
    taken.add(all.published.bases, std::exchange(all.published.tagged, {}));
    for (auto one = std::next(made.begin()); one != made.end(); ++one) {
      const BuildpacksResult& more = one->result;
      taken.add(more.published.bases, more.published.tagged);
      add_new(all.buildpacks, more.buildpacks);
      add_new(all.images, more.images);
      all.has_all_images = all.has_all_images && more.has_all_images;
      all.published.figures.context_bytes_sent += more.published.figures.context_bytes_sent;
      all.published.figures.push =
          std::max(all.published.figures.push, more.published.figures.push);
    }
    taken.tell(all.published);
    return all;
  }

  const std::unique_ptr<ports::BuildpacksBuilder> one_;
  const CanBuild can_build_;
  const PlatformPeers peers_;
};

}  // namespace

std::unique_ptr<ports::BuildpacksBuilder> make_several_platforms(
    std::unique_ptr<ports::BuildpacksBuilder> one, CanBuild can_build, PlatformPeers peers) {
  return std::make_unique<SeveralPlatforms>(std::move(one), std::move(can_build), std::move(peers));
}

}  // namespace builder::adapters::cnb
