#include "adapters/cnb/several_platforms.hpp"

#include "adapters/oci/index.hpp"
#include "adapters/oci/push_fault.hpp"
#include "base/text.hpp"
#include "domain/platform_name.hpp"
#include "ports/per_platform.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
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

/// For moving tags behind the build, which waits for it.
constexpr std::chrono::seconds k_tags_limit{10};
constexpr std::chrono::seconds k_tags_limit_of_failed{1};

std::string tag_for(const std::string& tag, const std::string& platform) {
  std::string own = tag + "-for-" + domain::platform_word(platform);
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
  SeveralPlatforms(std::unique_ptr<ports::BuildpacksBuilder> one, WhyNot why_not,
                   PlatformPeers peers)
      : one_(std::move(one)), why_not_(std::move(why_not)), peers_(std::move(peers)) {}

  Result<BuildpacksResult> publish(const JobContext& job, const BuildpacksSpec& spec,
                                   domain::EventSink& events) override {
    std::vector<std::string> platforms = domain::platforms_in(spec.platform);
    if (platforms.size() > 1 && spec.may_leave_out) {
      BUILDER_TRY_ASSIGN(platforms, possible(job, spec, platforms, events));
    }
    if (platforms.size() == 1) {
      return one_->publish(job, for_platform(spec, platforms.front()), events);
    }
    auto published = publish_index(job, spec, platforms, events);
    if (!published) {
      leave_to_latest(job, spec, platforms);
    }
    return published;
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
    const auto usual = std::ranges::find_if(kept, [](const std::string& platform) {
      return domain::is_same_machine(platform, domain::k_default_platform);
    });
    const std::string& chosen = usual == kept.end() ? kept.front() : *usual;
    events.info(fmt::format("The engine takes the image for one platform: {}", chosen));
    return one_->load(job, for_platform(spec, chosen), events);
  }

 private:
  static BuildpacksSpec for_platform(BuildpacksSpec spec, const std::string& platform) {
    spec.platform = platform;
    return spec;
  }

  /// Those that an image can be built for; an error where there is none.
  Result<std::vector<std::string>> possible(const JobContext& job, const BuildpacksSpec& spec,
                                            const std::vector<std::string>& platforms,
                                            domain::EventSink& events) {
    std::vector<std::string> kept;
    std::string first;
    for (const std::string& platform : platforms) {
      BUILDER_TRY_ASSIGN(const std::string why_not, why_not_(job, for_platform(spec, platform)));
      if (why_not.empty()) {
        kept.push_back(platform);
        continue;
      }
      events.warning(fmt::format("No image is made for {}: {}", platform, why_not));
      first = first.empty() ? why_not : first;
    }
    if (kept.empty()) {
      return std::unexpected(
          Error{.kind = ErrorKind::invalid_input, .message = first, .customer = first});
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
    lead_tags_to(index, job.within(k_tags_limit), spec, platforms);
    events.info(fmt::format("Pushed {} for {}", index.digest, fmt::join(platforms, ", ")));
    BuildpacksResult result = together(std::move(made), platforms);
    result.published.image = {
        .repository = spec.repository, .tag = spec.tag, .digest = index.digest};
    ports::PublishFigures& figures = result.published.figures;
    figures.build = built - begin - std::min(figures.push, built - begin);
    figures.push += Clock::now() - built;
    return result;
  }

  void lead_tags_to(const oci::Manifest& manifest, const JobContext& job,
                    const BuildpacksSpec& spec, const std::vector<std::string>& platforms) {
    for (const std::string& platform : platforms) {
      const std::string tag = tag_for(spec.tag, platform);
      if (const auto moved =
              peers_.images.put(job, oci::reference_of(spec.repository, tag), manifest);
          !moved) {
        job.log.debug("the tag {} stays: {}", tag, moved.error().message);
      }
    }
  }

  /// What was pushed of a build that has failed is the newest image that has a tag: a policy that
  /// keeps one would remove the one that runs. Best effort, and for a moment, also of a build that
  /// was stopped.
  void leave_to_latest(const JobContext& failed, const BuildpacksSpec& spec,
                       const std::vector<std::string>& platforms) {
    JobContext job = failed;
    job.stop = {};
    job.deadline = Clock::now() + k_tags_limit_of_failed;
    std::vector<std::string> pushed;
    for (const std::string& platform : platforms) {
      if (peers_.images.head(job,
                             oci::reference_of(spec.repository, tag_for(spec.tag, platform)))) {
        pushed.push_back(platform);
      }
    }
    if (pushed.empty()) {
      return;
    }
    if (const auto latest =
            peers_.images.manifest(job, oci::reference_of(spec.repository, "latest"))) {
      lead_tags_to(*latest, job, spec, pushed);
    }
  }

  Result<Made> make(const JobContext& job, const BuildpacksSpec& spec, domain::EventSink& events) {
    auto result = one_->publish(job, spec, events);
    // Where tags never move. The tag is this deployment's alone: what has it was made for it.
    if (!result &&
        oci::classify_push_error(result.error().message) == oci::PushFault::tag_immutable) {
      events.info("An earlier attempt has pushed the image");
      result = BuildpacksResult{.platform = spec.platform, .made_here = false, .published = {}};
    }
    BUILDER_TRY(result);
    const auto& digest = result->published.image.digest;
    const oci::Reference reference =
        digest.empty() ? oci::reference_of(spec.repository, spec.tag)
                       : oci::reference_of(spec.repository, {}).with_digest(digest);
    BUILDER_TRY_ASSIGN(oci::Image image, peers_.images.image(job, reference, spec.platform));
    const std::string own = oci::platform_of_config(image.config);
    if (!own.empty() && !domain::is_same_machine(own, spec.platform)) {
      return std::unexpected(
          Error{.kind = ErrorKind::invalid_input,
                .message = fmt::format("the image for {} is for {}", spec.platform, own),
                .customer = fmt::format("The run image of the builder is for {}, not for {}; the "
                                        "operator can choose another",
                                        printable_line(own, 40), spec.platform)});
    }
    return Made{.result = *std::move(result), .manifest = std::move(image.manifest)};
  }

  /// What starts the app is that of the first.
  static BuildpacksResult together(std::vector<Made> made,
                                   const std::vector<std::string>& platforms) {
    BuildpacksResult all = std::move(made.front().result);
    all.platform = fmt::format("{}", fmt::join(platforms, ","));
    ports::TakenBases taken;
    taken.add(all.published.bases, std::exchange(all.published.tagged, {}));
    for (auto one = std::next(made.begin()); one != made.end(); ++one) {
      const BuildpacksResult& more = one->result;
      taken.add(more.published.bases, more.published.tagged);
      add_new(all.buildpacks, more.buildpacks);
      add_new(all.images, more.images);
      all.has_all_images = all.has_all_images && more.has_all_images;
      all.made_here = all.made_here && more.made_here;
      all.published.figures.context_bytes_sent += more.published.figures.context_bytes_sent;
      all.published.figures.push =
          std::max(all.published.figures.push, more.published.figures.push);
    }
    taken.tell(all.published);
    return all;
  }

  const std::unique_ptr<ports::BuildpacksBuilder> one_;
  const WhyNot why_not_;
  const PlatformPeers peers_;
};

}  // namespace

std::unique_ptr<ports::BuildpacksBuilder> make_several_platforms(
    std::unique_ptr<ports::BuildpacksBuilder> one, WhyNot why_not, PlatformPeers peers) {
  return std::make_unique<SeveralPlatforms>(std::move(one), std::move(why_not), std::move(peers));
}

}  // namespace builder::adapters::cnb
