#include "adapters/buildkit/daemon_image_builder.hpp"
#include "adapters/oci/index.hpp"
#include "adapters/oci/reference.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "domain/platform_name.hpp"
#include "ports/per_platform.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

using Clock = std::chrono::steady_clock;
using ports::JobContext;

/// Where its layers and manifests go; the tags are the index's.
std::string repositories_of(const ports::ImageSpec& image) {
  std::vector<std::string> uris{image.repository.uri};
  for (const ports::ImageName& name : image.more_names) {
    if (std::ranges::find(uris, name.repository.uri) == uris.end()) {
      uris.push_back(name.repository.uri);
    }
  }
  return fmt::format("{}", fmt::join(uris, ","));
}

/// What the engine says of the image that it has pushed; anything else: it does not say.
nlohmann::json descriptor_of(const Solved& solved) {
  const auto said = solved.exporter_response.find("containerimage.descriptor");
  const auto text =
      said == solved.exporter_response.end() ? std::nullopt : base64_decode(said->second);
  return text ? parse_json(*text) : nlohmann::json();
}

/// What all downloaded together; nullopt: nobody recorded it.
std::optional<domain::Downloads> downloads_of(const std::vector<Solved>& all) {
  std::set<domain::Download> files;
  bool are_known = false;
  bool are_all = true;
  for (const Solved& solved : all) {
    are_known = are_known || solved.downloads;
    are_all = are_all && solved.downloads && solved.downloads->are_all;
    if (solved.downloads) {
      files.insert(solved.downloads->files.begin(), solved.downloads->files.end());
    }
  }
  return are_known ? std::optional(domain::Downloads{.files = {files.begin(), files.end()},
                                                     .are_all = are_all})
                   : std::nullopt;
}

class SeveralEnginesBuilder final : public DaemonImageBuilder {
 public:
  SeveralEnginesBuilder(std::vector<PlatformEngine> engines, PublishPeers peers,
                        oci::Client& client, Compression compression, ImageEpoch epoch)
      : DaemonImageBuilder(peers),
        engines_(std::move(engines)),
        client_(client),
        compression_(std::move(compression)),
        epoch_(epoch) {
    for (const PlatformEngine& engine : engines_) {
      direct_.push_back(make_direct_image_builder(peers_of(engine), compression_, epoch_));
    }
  }

  Result<ports::PublishResult> publish(const JobContext& job, const ports::ImageSpec& image,
                                       domain::EventSink& events) override {
    const std::vector<std::string> platforms = domain::platforms_in(
        image.options.platform.empty() ? domain::k_default_platform : image.options.platform);
    std::set<std::size_t> engines;
    for (const std::string& platform : platforms) {
      engines.insert(engine_for(platform));
    }
    // One that builds all of them shares what they have in common.
    return engines.size() == 1 ? direct_[*engines.begin()]->publish(job, image, events)
                               : publish_index(job, image, platforms, events);
  }

 private:
  [[nodiscard]] PublishPeers peers_of(const PlatformEngine& engine) const {
    return {engine.solver, peers_.registry, peers_.logins, peers_.patience};
  }

  [[nodiscard]] std::size_t engine_for(const std::string& platform) const {
    const auto own = std::ranges::find_if(engines_, [&](const PlatformEngine& engine) {
      return domain::is_same_machine(engine.platform, platform);
    });
    return own == engines_.end() ? 0 : static_cast<std::size_t>(own - engines_.begin());
  }

  Result<ports::PublishResult> publish_index(const JobContext& job, const ports::ImageSpec& image,
                                             const std::vector<std::string>& platforms,
                                             domain::EventSink& events) {
    const auto begin = Clock::now();
    BUILDER_TRY_ASSIGN(
        const std::vector<Solved> solved,
        ports::make_for_each<Solved>(
            job, platforms, events,
            [&](const JobContext& stoppable, const std::string& platform, domain::EventSink& told) {
              return solve_and_push(peers_of(engines_[engine_for(platform)]), stoppable,
                                    image.repository, spec_for(image, platform), told);
            }));
    ports::PublishResult result{
        .image = {.repository = image.repository, .tag = image.tag, .digest = {}}, .figures = {}};
    std::vector<oci::PlatformImage> images;
    ports::TakenBases bases;
    Clock::duration push{0};
    for (std::size_t i = 0; i < platforms.size(); ++i) {
      images.push_back({.platform = platforms[i], .descriptor = descriptor_of(solved[i])});
      bases.add(solved[i].bases, solved[i].tagged);
      result.figures.context_bytes_sent += solved[i].context_bytes_sent;
      push = std::max(push, solved[i].push);
    }
    bases.tell(result);
    result.downloads = downloads_of(solved);
    const auto built = Clock::now();
    BUILDER_TRY_ASSIGN(
        const oci::Manifest index,
        oci::make_index(client_, job, oci::reference_of(image.repository, {}), images));
    BUILDER_TRY(put(job, image.repository, image.tag, index, events));
    for (const ports::ImageName& name : image.more_names) {
      BUILDER_TRY(put(job, name.repository, name.tag, index, events));
    }
    result.image.digest = index.digest;
    result.figures.build = built - begin - push;
    result.figures.push = push + (Clock::now() - built);
    events.info(fmt::format("Pushed {} for {}", index.digest, fmt::join(platforms, ", ")));
    return result;
  }

  [[nodiscard]] SolveSpec spec_for(const ports::ImageSpec& image,
                                   const std::string& platform) const {
    SolveSpec spec = pushing_solve_of(image, compression_, epoch_);
    spec.frontend["platform"] = platform;
    spec.is_one_of_several = true;
    spec.exporter_attributes["name"] = repositories_of(image);
    spec.exporter_attributes["push-by-digest"] = "true";
    return spec;
  }

  Result<> put(const JobContext& job, const ports::Repository& repository, const std::string& tag,
               const oci::Manifest& index, domain::EventSink& events) {
    oci::RetryingPush retrying(peers_.registry, peers_.logins, job, repository, events,
                               peers_.patience);
    return oci::push_index(client_, job, oci::reference_of(repository, tag), index, retrying);
  }

  const std::vector<PlatformEngine> engines_;
  oci::Client& client_;
  const Compression compression_;
  const ImageEpoch epoch_;
  std::vector<std::unique_ptr<ports::ImageBuilder>> direct_;  // Of each engine.
};

}  // namespace

std::unique_ptr<ports::ImageBuilder> make_several_engines_builder(
    std::vector<PlatformEngine> engines, PublishPeers peers, oci::Client& client,
    Compression compression, ImageEpoch epoch) {
  return std::make_unique<SeveralEnginesBuilder>(std::move(engines), peers, client,
                                                 std::move(compression), epoch);
}

}  // namespace builder::adapters::buildkit
