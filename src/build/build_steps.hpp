#pragma once

#include "base/log.hpp"
#include "build/base_pins.hpp"
#include "build/build_plan.hpp"
#include "build/image_memory.hpp"
#include "build/silence_watch.hpp"
#include "build/step_contract.hpp"
#include "domain/cache_namespaces.hpp"
#include "domain/deployment_request.hpp"
#include "domain/provenance.hpp"
#include "domain/source_spec.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"
#include "ports/job_queue.hpp"
#include "ports/metrics.hpp"
#include "ports/registry.hpp"
#include "ports/source_fetcher.hpp"

#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::build {

/// From a request to an image in the registry with `latest` moved. What an attempt has done is
/// recorded at the queue under names of content, so that the next one, here or on another worker,
/// takes it up from there: it builds the same commit, pushes what an engine still has, only moves
/// the tag, or only reports.
class BuildSteps {
 public:
  /// All references outlive the object; `events` is what the steps are told to.
  BuildSteps(StepPorts ports, const StepSettings& settings, ports::Metrics& metrics, Log log,
             const domain::DeploymentRequest& request, const domain::CacheNamespaces& caches,
             const ports::TakenJob& taken, const ports::JobContext& job, SilenceWatch& events,
             StepObserver& observer);

  /// May be called again after a failure.
  Result<ports::PublishedImage> run();

  /// Of the service's images, as soon as it is known.
  [[nodiscard]] const std::optional<ports::Repository>& repository() const { return repository_; }

  /// What is built, as far as it is known: a branch's head is once it was fetched.
  [[nodiscard]] const std::string& commit() const {
    return checkpoint_.commit.empty() ? request_.commit_sha : checkpoint_.commit;
  }

  /// Of the last image that was published; all zero before.
  [[nodiscard]] const ports::PublishFigures& figures() const { return figures_; }

  /// Of the image that `latest` is now, as far as it is known.
  [[nodiscard]] const domain::ImageSize& image_size() const { return image_size_; }

  /// What is to be attached to it when the deployment has ended.
  [[nodiscard]] const std::optional<SbomTask>& sbom_left() const { return sbom_left_; }

 private:
  template <class F>
  auto timed(std::string_view phase, F&& step);
  void took(std::string_view phase, std::chrono::steady_clock::duration time);

  Result<std::optional<ports::PublishedImage>> resume();
  struct Beside;
  void begin(Beside& beside, bool pins_bases);
  void begin_solve(Beside& beside, const DockerfileTarget& target);
  Result<ports::PublishedImage> build();
  std::optional<ports::PublishedImage> known_image(Beside& beside, const DockerfilePlan& plan,
                                                   const domain::knobs::BuildKnobs& said);
  Result<ports::PublishedImage> solve(Beside& beside, DockerfilePlan plan,
                                      const ports::SourceCommit& commit);
  void obey_limits(const domain::knobs::BuildKnobs& said);
  Result<ports::FetchedSource> fetch(domain::SourceSpec spec);
  Result<std::shared_ptr<const ports::SourceTree>> with_times(
      std::shared_ptr<const ports::SourceTree> tree, std::string_view way,
      std::chrono::sys_seconds commit_time, const std::string& before);
  Result<ports::Repository> ensure_repository(const ports::JobContext& job);
  Result<ports::PublishResult> publish(BuildpacksPlan plan, const domain::SourceSpec& source,
                                       const ports::FetchedSource& fetched, ports::ImagePins pins);
  Result<ports::PublishResult> or_pushed_before(Result<ports::PublishResult> published);

  /// What the deployments of the service left.
  struct Recalled {
    Result<std::string> times;
    ImageMemory images;
  };

  /// What base images are to this build.
  struct Bases {
    bool are_pinned = false;  ///< Without it the next three are empty.
    BasePins remembered;
    ports::ImagePins pins;       ///< Those that count: neither due to be renewed, nor gone.
    std::set<std::string> gone;  ///< Names whose version the registry does not have any more.
    std::vector<domain::BaseImage> current;  ///< What names that are not pinned stand for now.
  };

  /// How a build took its base images.
  enum class TakenBases { as_pinned, anew, of_known_image };

  [[nodiscard]] bool reuses_images() const { return settings_.reuse_images.count() > 0; }

  Recalled recall(const std::stop_token& stop);
  void look_at_bases(Beside& beside, bool pinned);
  Result<Bases> find_bases(const ports::JobContext& job, const ports::Repository& repository,
                           const ImageMemory& images, bool pinned);
  std::optional<ports::PublishedImage> made_before(const MadeImage& made, const Bases& bases);
  void remember_bases(Bases bases, const std::vector<domain::BaseImage>& taken, TakenBases how);
  void remember_image(std::string inputs, ImageMemory memory, const ports::PublishResult& made,
                      bool tells_moves);
  void tell_move(const domain::BaseImage& image, const std::string& before, const std::string& why);
  [[nodiscard]] domain::Provenance provenance(const domain::SourceSpec& source,
                                              const ports::FetchedSource& fetched) const;
  [[nodiscard]] domain::MadeFromDockerfile way_of(const DockerfileTarget& target) const;
  void was_made(const ports::PublishResult& published);
  [[nodiscard]] std::optional<domain::Provenance> made_here(
      const ports::PublishedImage& image) const;
  [[nodiscard]] ports::ImageMaker maker() const;
  bool has_papers(const ports::PublishedImage& image, bool or_unknown);
  Result<ports::PublishedImage> promote(const ports::PublishResult& published);
  void measure_image(const domain::ImageLayers& layers, const std::string& before);
  [[nodiscard]] ports::ServiceMemory memory_of(ports::ServiceMemory::What what) const;
  [[nodiscard]] Result<> check_lease() const;
  void record();

  const StepPorts ports_;
  const StepSettings& settings_;
  ports::Metrics& metrics_;
  const Log log_;
  const domain::DeploymentRequest& request_;
  const domain::CacheNamespaces& caches_;
  const ports::TakenJob& taken_;
  const ports::JobContext& job_;
  SilenceWatch& events_;
  StepObserver& observer_;
  domain::Checkpoint checkpoint_;
  std::optional<ports::Repository> repository_;
  ports::PublishFigures figures_;
  domain::ImageSize image_size_;
  std::optional<SbomTask> sbom_left_;
  const std::chrono::sys_seconds started_at_;
  /// Of the image that these steps make or have made; its digest is empty until they have.
  std::optional<domain::Provenance> made_;
  std::function<std::string()> dockerfile_ = [] { return std::string(); };  ///< Its text.
};

}  // namespace builder::build
