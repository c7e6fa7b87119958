#include "build/build_steps.hpp"

#include "base/iso_time.hpp"
#include "base/text.hpp"
#include "build/build_inputs.hpp"
#include "build/early_publish.hpp"
#include "build/file_times.hpp"
#include "build/image_check.hpp"
#include "domain/knobs/knob_readers.hpp"
#include "domain/platform_name.hpp"
#include "ports/buildpacks_builder.hpp"
#include "ports/retry_until_answered.hpp"

#include <algorithm>
#include <future>
#include <utility>
#include <variant>

namespace builder::build {

namespace {

using ports::JobContext;
using ports::PublishedImage;
using ports::PublishResult;
using ports::ServiceMemory;
using Clock = std::chrono::steady_clock;

/// The image is there: the build's own deadline no longer counts.
constexpr std::chrono::seconds k_promote_limit{120};
constexpr std::chrono::seconds k_repository_limit{120};
/// For a look at base images: a build that waits longer for it would rather have begun.
constexpr std::chrono::seconds k_bases_limit{5};
constexpr std::size_t k_short_commit = 7;
constexpr std::size_t k_shown_bases = 500;
constexpr std::size_t k_date = std::string_view("2026-11-30").size();
constexpr auto k_where_possible = std::launch::async | std::launch::deferred;
constexpr std::size_t k_short_digest = std::string_view("sha256:").size() + 12;

/// Requests a stop of its own when the outer one does, and when it is destroyed: for a task that
/// runs beside the pipeline and must not outlive it.
class ScopedStop {
 public:
  explicit ScopedStop(const std::stop_token& outer)
      : forward_(outer, [this] { source_.request_stop(); }) {}

  ScopedStop(const ScopedStop&) = delete;
  ScopedStop& operator=(const ScopedStop&) = delete;

  ~ScopedStop() { source_.request_stop(); }

  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> forward_;
};

/// The time in which something can be silent.
class SilenceScope {
 public:
  explicit SilenceScope(SilenceWatch& watch) : watch_(watch) { watch_.begin(); }

  SilenceScope(const SilenceScope&) = delete;
  SilenceScope& operator=(const SilenceScope&) = delete;

  ~SilenceScope() { watch_.end(); }

 private:
  SilenceWatch& watch_;
};

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : ", ") + word;
  }
  return text;
}

std::string with_digest(const std::string& name, const std::string& digest) {
  return name + "@" + digest;
}

std::chrono::sys_seconds now() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

std::string shown_name(const domain::BaseImage& image) {
  return printable_line(domain::familiar_name(image.name), 100);
}

/// The same job, whose log names the phase.
JobContext in_phase(JobContext job, std::string_view phase) {
  job.log = job.log.with("phase", phase);
  return job;
}

}  // namespace

BuildSteps::BuildSteps(StepPorts ports, const StepSettings& settings, ports::Metrics& metrics,
                       Log log, const domain::DeploymentRequest& request,
                       const domain::CacheNamespaces& caches, const ports::TakenJob& taken,
                       const JobContext& job, SilenceWatch& events, StepObserver& observer)
    : ports_(ports),
      settings_(settings),
      metrics_(metrics),
      log_(std::move(log)),
      request_(request),
      caches_(caches),
      taken_(taken),
      job_(job),
      events_(events),
      observer_(observer),
      checkpoint_(taken.checkpoint),
      started_at_(now()) {
}

template <class F>
auto BuildSteps::timed(std::string_view phase, F&& step) {
  const auto started = Clock::now();
  auto result = std::forward<F>(step)();
  took(phase, Clock::now() - started);
  return result;
}

void BuildSteps::took(std::string_view phase, Clock::duration time) {
  metrics_.phase_took(phase, time);
  log_.with("phase", phase)
      .debug("{} took {} ms", phase,
             std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

Result<PublishedImage> BuildSteps::run() {
  if (!checkpoint_.digest.empty() || !checkpoint_.image_id.empty()) {
    BUILDER_TRY(observer_.accepted());
    BUILDER_TRY_ASSIGN(auto image, resume());
    if (image) {
      return *std::move(image);
    }
    // What was recorded is not there any more. The commit stays.
    checkpoint_ = {.commit = checkpoint_.commit};
  }
  return build();
}

/// What earlier attempts left, as far as it is still there.
Result<std::optional<PublishedImage>> BuildSteps::resume() {
  BUILDER_TRY_ASSIGN(repository_, ensure_repository(job_));
  const std::string tag = request_.deployment_id.str();
  if (!checkpoint_.digest.empty() && checkpoint_.repository == repository_->uri) {
    PublishedImage image{.repository = *repository_, .tag = tag, .digest = checkpoint_.digest};
    if (checkpoint_.promoted) {
      events_.info("An earlier attempt has built and pushed the image: nothing is left to do");
      return image;
    }
    if (settings_.papers.rule == domain::AttestationRule::required && !made_here(image) &&
        !has_papers(image, false)) {
      events_.info("The image of an earlier attempt has no provenance: building it again");
      return std::nullopt;
    }
    events_.info("An earlier attempt has built and pushed the image");
    auto promoted = promote({.image = image, .figures = {}});
    if (promoted || promoted.error().kind != ErrorKind::not_found) {
      return promoted;
    }
    events_.info("The image is not in the registry any more: building it again");
  }
  // What this worker did not build it cannot say the provenance of.
  if (!checkpoint_.image_id.empty() && settings_.papers.rule != domain::AttestationRule::required) {
    observer_.phase_begins("push");
    auto published = ports_.image.publish_built(in_phase(job_, "push"), *repository_, tag,
                                                checkpoint_.image_id, events_);
    if (!published || *published) {
      BUILDER_TRY_ASSIGN(const PublishResult there,
                         or_pushed_before(published ? Result<PublishResult>(**std::move(published))
                                                    : std::unexpected(published.error())));
      return promote(there);
    }
  }
  return std::nullopt;
}

/// What needs no source is made ready while git works, and nothing of it is begun that the platform
/// does not want.
struct BuildSteps::Beside {
  explicit Beside(const ports::JobContext& outer) : stop(outer.stop), job(outer) {
    job.stop = stop.token();
  }

  std::shared_future<Result<ports::Repository>> repository;
  std::shared_future<Recalled> recalled;
  std::shared_future<Result<Bases>> bases;  ///< Of images that may be used again, and pinned ones.
  bool bases_are_pinned = false;
  std::shared_future<std::string> inputs;  ///< Behind the fetch; of a build that may not be needed.
  std::optional<EarlyPublish> early;
  const ScopedStop stop;  ///< Behind the futures: stopped before it is waited for.
  ports::JobContext job;
};

void BuildSteps::begin(Beside& beside, bool pins_bases) {
  beside.repository =
      std::async(std::launch::async, [this, job = beside.job]() -> Result<ports::Repository> {
        BUILDER_TRY(observer_.accepted());
        return ensure_repository(job);
      }).share();
  beside.recalled = std::async(std::launch::async, [this, stop = beside.job.stop] {
                      return recall(stop);
                    }).share();
  if (reuses_images() || pins_bases) {
    look_at_bases(beside, pins_bases);
  }
}

void BuildSteps::look_at_bases(Beside& beside, bool pinned) {
  beside.bases_are_pinned = pinned;
  // Where there is no thread for it, it is done when it is asked for.
  beside.bases = std::async(k_where_possible,
                            [this, pinned, job = beside.job, recalled = beside.recalled,
                             repository = beside.repository]() -> Result<Bases> {
                              BUILDER_TRY_ASSIGN(const ports::Repository own, repository.get());
                              return find_bases(job, own, recalled.get().images, pinned);
                            })
                     .share();
}

/// The engine begins before there is a source.
void BuildSteps::begin_solve(Beside& beside, const DockerfileTarget& target) {
  // A build of everything anew takes new base images as well.
  const bool takes_pinned = target.pins_bases && !target.options.no_cache;
  if (target.pins_bases && !beside.bases_are_pinned) {
    look_at_bases(beside, true);
  }
  beside.early.emplace(
      EarlyPublish::Ports{ports_.image, events_}, in_phase(job_, "build"),
      ports::ImageSpec{.service_id = request_.service_id,
                       .context = {},
                       .dockerfile = target.dockerfile,
                       .repository = {},
                       .tag = request_.deployment_id.str(),
                       .cache_namespace = caches_.dockerfile(target.cache_sharing),
                       .on_built =
                           [this](const std::string& image_id) {
                             checkpoint_.image_id = image_id;
                             record();
                           },
                       .options = target.options,
                       .variables = delivered(target, request_.environment, settings_.delivery,
                                              caches_.secrets)},
      [repository = beside.repository,
       bases = takes_pinned ? beside.bases : std::shared_future<Result<Bases>>()](
          ports::ImageSpec& image) -> Result<> {
        BUILDER_TRY_ASSIGN(image.repository, repository.get());
        if (bases.valid()) {
          BUILDER_TRY_ASSIGN(Bases known, bases.get());
          image.options.pins = std::move(known.pins);
        }
        return {};
      });
}

Result<PublishedImage> BuildSteps::build() {
  const auto spec = domain::resolve_source(request_, settings_.github_url);
  const auto said_early = domain::knobs::read_variables(request_.environment, settings_.knobs);
  if (!spec || !said_early) {
    BUILDER_TRY(observer_.accepted());
    return std::unexpected(spec ? said_early.error() : spec.error());
  }
  obey_limits(*said_early);
  Beside beside(job_);
  // What the repository says is known later, and where it says nothing this stays as it is.
  const std::optional<DockerfileTarget> guess = early_target(request_, *said_early, settings_);
  begin(beside, guess ? guess->pins_bases : settings_.base_images == domain::BaseImages::pinned);
  if (guess) {
    begin_solve(beside, *guess);
  }

  observer_.phase_begins("fetch");
  auto fetched = timed("fetch", [&] { return fetch(*spec); });
  BUILDER_TRY(observer_.accepted());
  if (!fetched) {
    return std::unexpected(std::move(fetched).error().with_context("fetching source"));
  }
  BUILDER_TRY_ASSIGN(const auto said, read_knobs(request_, settings_.knobs, *fetched->tree));
  obey_limits(said);
  BUILDER_TRY_ASSIGN(BuildPlan plan,
                     make_build_plan(request_, settings_, said, fetched->tree, events_));
  auto* const dockerfile = std::get_if<DockerfilePlan>(&plan);
  // Before the engine's first look: what it sees once is what it compares with the next time.
  auto& tree = dockerfile != nullptr ? dockerfile->tree : std::get<BuildpacksPlan>(plan).app;
  BUILDER_TRY_ASSIGN(const std::string before, beside.recalled.get().times);
  BUILDER_TRY_ASSIGN(tree, with_times(std::move(tree), dockerfile != nullptr ? "" : "buildpacks",
                                      fetched->committed_at, before));
  BUILDER_TRY_ASSIGN(repository_, beside.repository.get());
  observer_.source_was_read();
  BUILDER_TRY(check_lease());
  made_ = provenance(*spec, *fetched);
  if (dockerfile != nullptr) {
    made_->way = way_of(dockerfile->target);
    dockerfile_ = [plan = *dockerfile] { return dockerfile_text(plan).value_or(std::string()); };
    if (auto known = known_image(beside, *dockerfile, said)) {
      return promote({.image = *std::move(known), .figures = {}});
    }
    if (guess != dockerfile->target || said_early->timeout != said.timeout) {
      begin_solve(beside, dockerfile->target);
    }
    return solve(beside, std::move(*dockerfile),
                 {.id = fetched->commit.str(), .time = fetched->committed_at});
  }
  beside.early.reset();
  observer_.phase_begins("build");
  const SilenceScope watched(events_);
  auto& buildpacks = std::get<BuildpacksPlan>(plan);
  const bool pins_bases = buildpacks.pins_bases;
  const bool anew = buildpacks.clear_cache;
  Bases bases;
  if (pins_bases) {
    if (!beside.bases_are_pinned) {
      look_at_bases(beside, true);
    }
    BUILDER_TRY_ASSIGN(bases, beside.bases.get());
  }
  auto built =
      publish(std::move(buildpacks), *spec, *fetched, anew ? ports::ImagePins() : bases.pins);
  if (built) {
    was_made(*built);
  }
  BUILDER_TRY_ASSIGN(const PublishResult published, or_pushed_before(std::move(built)));
  auto promoted = promote(published);
  if (promoted && pins_bases) {
    remember_bases(std::move(bases), published.tagged,
                   anew ? TakenBases::anew : TakenBases::as_pinned);
  }
  return promoted;
}

/// An image of the same things, under this deployment's tag; nullopt: it has to be built.
std::optional<PublishedImage> BuildSteps::known_image(Beside& beside, const DockerfilePlan& plan,
                                                      const domain::knobs::BuildKnobs& said) {
  if (!reuses_images()) {
    return std::nullopt;
  }
  // Beside the build, where nothing is known that it could be compared with. What cannot be read is
  // told by the build.
  beside.inputs =
      std::async(k_where_possible, [this, said, plan, stop = beside.job.stop] {
        const auto variables =
            delivered(plan.target, request_.environment, settings_.delivery, caches_.secrets);
        std::string inputs = inputs_of(plan, said, variables, caches_.secrets, stop).value_or("");
        // What another policy let through may not be let through now.
        return inputs.empty() || settings_.policy.empty() ? inputs
                                                          : sha256_hex(inputs + settings_.policy);
      }).share();
  const bool must_build = (said.force && said.force->value) || plan.target.options.no_cache;
  const ImageMemory& images = beside.recalled.get().images;
  if (must_build || images.images().empty()) {
    return std::nullopt;
  }
  const MadeImage* const made = images.find(beside.inputs.get(), repository_->uri);
  if (made == nullptr) {
    return std::nullopt;
  }
  if (plan.target.pins_bases && !beside.bases_are_pinned) {
    look_at_bases(beside, true);
  }
  Result<Bases> bases = beside.bases.get();
  if (!bases) {
    return std::nullopt;
  }
  if (!plan.target.pins_bases) {
    *bases = {.current = std::move(bases->current)};
  }
  auto image = made_before(*made, *bases);
  if (image && bases->are_pinned) {
    remember_bases(*std::move(bases), made->bases, TakenBases::of_known_image);
  }
  return image;
}

Result<PublishedImage> BuildSteps::solve(Beside& beside, DockerfilePlan plan,
                                         const ports::SourceCommit& commit) {
  observer_.phase_begins("build");
  const SilenceScope watched(events_);
  events_.info("Building image from " + plan.target.dockerfile);
  auto built = beside.early->finish(std::move(plan.tree), std::move(plan.dockerfile_tree), commit);
  if (built) {
    was_made(*built);
  }
  BUILDER_TRY_ASSIGN(const PublishResult published, or_pushed_before(std::move(built)));
  auto promoted = promote(published);
  if (promoted && plan.target.pins_bases) {
    if (Result<Bases> bases = beside.bases.get()) {
      std::vector<domain::BaseImage> taken = published.tagged;
      // An engine that gets the pins in the Dockerfile does not know them for tags.
      for (const domain::BaseImage& image : published.bases.value_or(taken)) {
        const auto pin = bases->pins.find(image.name);
        if (pin != bases->pins.end() && pin->second == image.digest &&
            std::ranges::find(taken, image) == taken.end()) {
          taken.push_back(image);
        }
      }
      remember_bases(*std::move(bases), taken,
                     plan.target.options.no_cache ? TakenBases::anew : TakenBases::as_pinned);
    }
  }
  if (promoted && beside.inputs.valid()) {
    remember_image(beside.inputs.get(), beside.recalled.get().images, published,
                   !plan.target.pins_bases);
  }
  return promoted;
}

void BuildSteps::obey_limits(const domain::knobs::BuildKnobs& said) {
  if (said.timeout) {
    observer_.timeout_chosen(said.timeout->value);
  }
  if (said.silence_timeout) {
    events_.set_limit(said.silence_timeout->value);
  }
}

Result<ports::FetchedSource> BuildSteps::fetch(domain::SourceSpec spec) {
  const bool follows_branch = spec.commit.empty();
  const JobContext limited = in_phase(job_.within(settings_.fetch_timeout), "fetch");
  const auto fetch_once = [&] { return ports_.source.fetch(limited, spec, events_); };
  if (follows_branch) {
    spec.commit = checkpoint_.commit;
  }
  auto fetched = fetch_once();
  if (!fetched && fetched.error().kind == ErrorKind::not_found && follows_branch &&
      !spec.commit.empty()) {
    events_.warning("The commit that was built before is gone from the repository");
    spec.commit.clear();
    fetched = fetch_once();
  }
  if (!fetched && fetched.error().kind != ErrorKind::cancelled) {
    if (auto usable = settings_.check_work_dir(); !usable) {
      return std::unexpected(std::move(usable).error().for_operator("WORK_DIR"));
    }
  }
  if (!fetched && fetched.error().kind == ErrorKind::timed_out &&
      limited.deadline < job_.deadline && Clock::now() >= limited.deadline) {
    return std::unexpected(
        Error{.kind = ErrorKind::build_failed,
              .message = fetched.error().message,
              .customer = "Fetching the repository took longer than " +
                          in_words(settings_.fetch_timeout) +
                          " and was stopped; keep large files out of its history, or ask for a "
                          "higher limit"});
  }
  if (fetched && follows_branch && checkpoint_.commit != fetched->commit.str()) {
    checkpoint_.commit = fetched->commit.str();
    record();
  }
  return fetched;
}

/// The times are remembered before they are used: the next attempt, and the next deployment, on
/// whatever worker, give those files that have not changed the same ones.
Result<std::shared_ptr<const ports::SourceTree>> BuildSteps::with_times(
    std::shared_ptr<const ports::SourceTree> tree, std::string_view way,
    std::chrono::sys_seconds commit_time, const std::string& before) {
  const auto begin = Clock::now();
  const domain::ServiceId& service = request_.service_id;
  BUILDER_TRY_ASSIGN(TimedTree timed,
                     give_times(std::move(tree), way, commit_time, settings_.times_key, before));
  if (timed.unreadable) {
    log_.warning("what is remembered of the service's files' times is damaged; all get new ones");
  }
  if (timed.record != before) {
    BUILDER_TRY(ports::retry_until_answered(
        log_, job_.stop, "the times of the files are not remembered",
        [&] { return ports_.queue.remember(taken_.receipt, {.service = service}, timed.record); }));
  }
  log_.debug("times of {} files, {} of them new: {} us", timed.files, timed.changed,
             std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
  return std::move(timed.tree);
}

Result<ports::Repository> BuildSteps::ensure_repository(const JobContext& job) {
  auto repository =
      ports_.registry.ensure_repository(job.within(k_repository_limit), request_.service_id);
  if (!repository) {
    return std::unexpected(std::move(repository).error().with_context("preparing the repository"));
  }
  return repository;
}

Result<PublishResult> BuildSteps::publish(BuildpacksPlan plan, const domain::SourceSpec& source,
                                          const ports::FetchedSource& fetched,
                                          ports::ImagePins pins) {
  if (settings_.image_labels) {
    ask_for_labels(plan, source.url, {.id = fetched.commit.str(), .time = fetched.committed_at});
  }
  domain::MadeWithBuildpacks way{
      .builder = observer_.shown(plan.builder), .platform = {}, .buildpacks = {}, .variables = {}};
  for (const auto& [name, value] : plan.environment) {
    way.variables.push_back(observer_.shown(name));
  }
  const bool pins_run_image = plan.pins_bases;
  ports::BuildpacksSpec spec = spec_of(std::move(plan), fetched, source.url);
  spec.service_id = request_.service_id;
  spec.repository = *repository_;
  spec.tag = request_.deployment_id.str();
  spec.cache_namespace = caches_.buildpacks;
  spec.pins = std::move(pins);
  spec.pins_run_image = pins_run_image;
  BUILDER_TRY_ASSIGN(ports::BuildpacksResult result,
                     ports_.buildpacks.publish(in_phase(job_, "build"), spec, events_));
  if (!result.made_here) {
    made_.reset();  // What another attempt built this one cannot say the provenance of.
    return std::move(result.published);
  }
  way.platform = result.platform;
  std::vector<std::string> used;
  for (const auto& buildpack : result.buildpacks) {
    used.push_back(buildpack.str());
    way.buildpacks.push_back(observer_.shown(buildpack.str()));
  }
  made_->way = std::move(way);
  made_->bases = std::move(result.images);
  made_->has_all_bases = result.has_all_images;
  events_.info("Built with " + joined(used) +
               (result.processes.empty() ? std::string("; the image has no process type")
                                         : "; process types: " + joined(result.processes)));
  if (result.processes.empty()) {
    events_.warning(
        "No buildpack says how to start the app: add a Procfile (web: COMMAND), or a command in "
        "the service's settings");
  }
  return std::move(result.published);
}

/// What the service's deployments left; of images only what may be used. Without the images more is
/// built than has to be.
BuildSteps::Recalled BuildSteps::recall(const std::stop_token& stop) {
  Recalled recalled;
  recalled.times = ports::retry_until_answered(
      log_, stop, "the times of the files are not known",
      [&] { return ports_.queue.recall(taken_.receipt, {.service = request_.service_id}); });
  if (!reuses_images()) {
    return recalled;
  }
  if (const auto text =
          ports_.queue.recall(taken_.receipt, memory_of(ServiceMemory::What::images))) {
    recalled.images = ImageMemory::read(*text);
    recalled.images.forget_before(now() - settings_.reuse_images);
  } else {
    log_.debug("the service's images are not known: {}", text.error().message);
  }
  return recalled;
}

/// What the bases of known images are now, or what the service's builds take for them.
Result<BuildSteps::Bases> BuildSteps::find_bases(const JobContext& job,
                                                 const ports::Repository& repository,
                                                 const ImageMemory& images, bool pinned) {
  Bases bases{.are_pinned = pinned};
  if (pinned) {
    BUILDER_TRY_ASSIGN(
        const std::string text,
        ports::retry_until_answered(log_, job.stop, "the pinned base images are not known", [&] {
          return ports_.queue.recall(taken_.receipt, memory_of(ServiceMemory::What::bases));
        }));
    bases.remembered = BasePins::read(text);
    bases.pins = bases.remembered.at(now(), settings_.renew_base_images);
  }
  const auto ask = [&](const std::vector<std::string>& names) {
    auto found = names.empty()
                     ? Result<std::vector<domain::BaseImage>>()
                     : ports_.image.find_bases(job.within(k_bases_limit), repository, names);
    if (!found) {
      log_.debug("base images are not known: {}", found.error().message);
    }
    return found;
  };
  std::vector<std::string> names = images.base_names();
  std::erase_if(names, [&bases](const std::string& name) { return bases.pins.contains(name); });
  for (const auto& [name, digest] : bases.pins) {
    names.push_back(with_digest(name, digest));
  }
  const auto found = ask(names);
  if (!found) {
    return bases;
  }
  bases.current = *found;
  // A registry that does not answer has lost nothing: what is gone is gone while its tag is there.
  std::vector<std::string> missing;
  for (const auto& [name, digest] : bases.pins) {
    if (std::ranges::find(*found, with_digest(name, digest), &domain::BaseImage::name) ==
        found->end()) {
      missing.push_back(name);
    }
  }
  for (domain::BaseImage& image : ask(missing).value_or(std::vector<domain::BaseImage>())) {
    bases.pins.erase(image.name);
    bases.gone.insert(image.name);
    bases.current.push_back(std::move(image));
  }
  return bases;
}

/// One that is known, whose bases have not moved and which is still there.
std::optional<PublishedImage> BuildSteps::made_before(const MadeImage& made, const Bases& bases) {
  if (!std::ranges::all_of(made.bases, [&bases](const domain::BaseImage& base) {
        const auto pin = bases.pins.find(base.name);
        return pin == bases.pins.end()
                   ? std::ranges::find(bases.current, base) != bases.current.end()
                   : pin->second == base.digest;
      })) {
    return std::nullopt;
  }
  PublishedImage image{
      .repository = *repository_, .tag = request_.deployment_id.str(), .digest = made.digest};
  if (!check_lease()) {
    return std::nullopt;  // The next step says so.
  }
  if (!has_papers(image, settings_.papers.rule != domain::AttestationRule::required)) {
    log_.debug("the image that was made before has no provenance");
    return std::nullopt;
  }
  if (const auto tagged = ports_.registry.add_tag(job_.within(k_promote_limit), image); !tagged) {
    log_.debug("the image that was made before is not used: {}", tagged.error().message);
    return std::nullopt;
  }
  events_.info("Nothing that the image is made of has changed since commit " +
               made.commit.substr(0, k_short_commit) + ": using that image again (" +
               std::string(domain::knobs::variable_of("force")) + "=true builds it anew)");
  metrics_.image_reused();
  return image;
}

void BuildSteps::tell_move(const domain::BaseImage& image, const std::string& before,
                           const std::string& why) {
  events_.info("The base image " + shown_name(image) + " has moved: from " +
               before.substr(0, k_short_digest) + " to " + image.digest.substr(0, k_short_digest) +
               why);
}

/// What the next builds take, and why it is not what the last ones took. Best effort: without it
/// the next deployment takes what this one found.
void BuildSteps::remember_bases(Bases bases, const std::vector<domain::BaseImage>& taken,
                                TakenBases how) {
  std::string kept;
  bool is_new = false;
  for (const domain::BaseImage& image : taken) {
    const auto pin = bases.pins.find(image.name);
    const bool was_pinned = how != TakenBases::anew && pin != bases.pins.end();
    const PinnedBase* const before = bases.remembered.find(image.name);
    if (was_pinned && pin->second == image.digest) {
      kept += (kept.empty() ? "" : ", ") + shown_name(image) + " at " +
              image.digest.substr(0, k_short_digest);
      continue;
    }
    if (how == TakenBases::of_known_image && before == nullptr) {
      continue;  // Its digest may have been written down.
    }
    if (before != nullptr && before->digest != image.digest) {
      tell_move(image, before->digest,
                how == TakenBases::anew ? " (no_cache takes what its registry has)"
                : was_pinned            ? " (the engine cannot be told to stay with it)"
                : bases.gone.contains(image.name)
                    ? " (its registry has lost the former)"
                    : " (it was pinned on " + iso_time(before->since).substr(0, k_date) + ")");
    }
    bases.remembered.renew(image, now());
    is_new = true;
  }
  if (!kept.empty() && how == TakenBases::as_pinned) {
    events_.info("Pinned base images: " + truncate_characters(kept, k_shown_bases) + " (" +
                 std::string(domain::knobs::variable_of("no_cache")) +
                 "=true takes what their registries have)");
  }
  if (!is_new) {
    return;
  }
  if (const auto remembered = ports_.queue.remember(
          taken_.receipt, memory_of(ServiceMemory::What::bases), bases.remembered.write());
      !remembered) {
    log_.warning("the base images are not pinned: {}", remembered.error().message);
  }
}

/// Best effort: without it the next deployment is built.
void BuildSteps::remember_image(std::string inputs, ImageMemory memory, const PublishResult& made,
                                bool tells_moves) {
  if (inputs.empty() || !made.bases) {
    return;
  }
  for (const domain::BaseImage& base : *made.bases) {
    if (const auto* const before = memory.last(base.name);
        tells_moves && before != nullptr && before->digest != base.digest) {
      tell_move(base, before->digest, {});
    }
  }
  memory.add({.inputs = std::move(inputs),
              .repository = made.image.repository.uri,
              .digest = made.image.digest,
              .bases = *made.bases,
              .made_at = now(),
              .commit = commit()});
  if (const auto remembered = ports_.queue.remember(
          taken_.receipt, memory_of(ServiceMemory::What::images), memory.write());
      !remembered) {
    log_.debug("the image is not remembered: {}", remembered.error().message);
  }
}

/// Where tags never move, an attempt whose push was not recorded stands in the way of the next one.
/// The tag is this deployment's alone: what is there is its image.
Result<PublishResult> BuildSteps::or_pushed_before(Result<PublishResult> published) {
  if (published || published.error().kind != ErrorKind::conflict) {
    return published;
  }
  BUILDER_TRY_ASSIGN(auto there,
                     ports_.registry.find(job_, *repository_, request_.deployment_id.str()));
  if (!there) {
    return published;
  }
  log_.info("{}; what is there was pushed before: {}", published.error().message, there->digest);
  events_.info("An earlier attempt has pushed the image");
  return PublishResult{.image = *std::move(there), .figures = {}};
}

/// What is known before the build.
domain::Provenance BuildSteps::provenance(const domain::SourceSpec& source,
                                          const ports::FetchedSource& fetched) const {
  return {.builder_id = settings_.papers.builder_id,
          .builder_version = settings_.papers.version,
          .deployment = request_.deployment_id.str(),
          .image = repository_->uri,
          .digest = {},
          .source = observer_.shown(source.url),
          .branch = observer_.shown(source.branch),
          .commit = fetched.commit.str(),
          .way = domain::MadeWithBuildpacks{},
          .bases = {},
          .started_at = started_at_};
}

domain::MadeFromDockerfile BuildSteps::way_of(const DockerfileTarget& target) const {
  domain::MadeFromDockerfile way{.dockerfile = observer_.shown(target.dockerfile),
                                 .target = observer_.shown(target.options.target),
                                 .platform = target.options.platform.empty()
                                                 ? std::string(domain::k_default_platform)
                                                 : observer_.shown(target.options.platform),
                                 .arguments = {},
                                 .variables = {}};
  for (const auto& [name, value] : target.options.arguments) {
    way.arguments.push_back(observer_.shown(name));
  }
  for (const domain::EnvironmentVariable& variable : request_.environment) {
    way.variables.push_back(observer_.shown(variable.key));
  }
  return way;
}

/// These steps have made the image, so they can say how; or not, where an earlier attempt did.
void BuildSteps::was_made(const PublishResult& published) {
  if (!made_) {
    return;
  }
  made_->digest = published.image.digest;
  // Those that buildpacks took are known already.
  if (std::holds_alternative<domain::MadeFromDockerfile>(made_->way)) {
    made_->has_all_bases = published.bases.has_value();
    made_->bases = published.bases.value_or(std::vector<domain::BaseImage>());
    made_->downloads = published.downloads;
  }
  if (made_->downloads) {
    for (domain::Download& file : made_->downloads->files) {
      file.url = observer_.shown(file.url);
    }
  }
  for (domain::BaseImage& base : made_->bases) {
    base.name = observer_.shown(base.name);
  }
  made_->finished_at = now();
}

std::optional<domain::Provenance> BuildSteps::made_here(const PublishedImage& image) const {
  return made_ && made_->digest == image.digest ? made_ : std::nullopt;
}

/// Of an image that an earlier attempt left nobody knows; then it is looked at as any image.
ports::ImageMaker BuildSteps::maker() const {
  return made_ && std::holds_alternative<domain::MadeWithBuildpacks>(made_->way)
             ? ports::ImageMaker::buildpacks
             : ports::ImageMaker::dockerfile;
}

/// Whether an image that was made before has what the operator wants to be attached.
bool BuildSteps::has_papers(const PublishedImage& image, bool or_unknown) {
  if (settings_.papers.rule == domain::AttestationRule::off || ports_.attestations == nullptr) {
    return true;
  }
  const auto there = ports_.attestations->has(job_.within(k_bases_limit), image,
                                              std::string(domain::k_provenance_type));
  if (!there) {
    log_.debug("the image's provenance is not known: {}", there.error().message);
  }
  return there.value_or(or_unknown);
}

/// `latest` moves, unless the deployment was cancelled in the last moment.
Result<PublishedImage> BuildSteps::promote(const PublishResult& published) {
  if (checkpoint_.digest != published.image.digest) {
    figures_ = published.figures;
    took("build", published.figures.build);
    took("push", published.figures.push);
    metrics_.context_bytes_sent(published.figures.context_bytes_sent);
    metrics_.bytes_pushed(published.figures.bytes_pushed);
    checkpoint_.repository = published.image.repository.uri;
    checkpoint_.digest = published.image.digest;
    record();
  }

  ImageCheck check({.search = ports_.search,
                    .queue = ports_.queue,
                    .secrets = ports_.secrets,
                    .metrics = metrics_,
                    .events = events_},
                   settings_.image_check, settings_.times_key, settings_.delivery.file, request_,
                   taken_.receipt, in_phase(job_, "search"));
  BUILDER_TRY(check.before_promotion(published.image, dockerfile_));

  ImagePapers papers({.attestations = ports_.attestations,
                      .sboms = ports_.sboms,
                      .metrics = metrics_,
                      .events = events_},
                     settings_.papers, in_phase(job_, "attest"));
  BUILDER_TRY(check_lease());
  BUILDER_TRY(papers.before_promotion(published.image, made_here(published.image), maker()));

  // From here on a restarted pod runs the new image. A cancel is obeyed until it has moved: no try
  // begins behind it, and none under way is waited for.
  BUILDER_TRY(check_lease());
  if (job_.stop.stop_requested()) {
    return failure(ErrorKind::cancelled, "stopped before latest was moved");
  }
  observer_.phase_begins("promote");
  JobContext moving = in_phase(job_, "promote");
  moving.deadline = Clock::now() + k_promote_limit;
  // What the last deployment left is asked for beside the move, and ours is written beside what
  // follows: the deployment's end waits for neither longer than for these.
  auto last = std::async(k_where_possible, [this] {
    return ports_.queue.recall(taken_.receipt, memory_of(ServiceMemory::What::last_image));
  });
  const auto promoted =
      timed("promote", [&] { return ports_.registry.promote(moving, published.image); });
  if (!promoted) {
    return std::unexpected(Error(promoted.error()).with_context("moving latest"));
  }
  checkpoint_.promoted = true;
  const auto remembered = std::async(k_where_possible, [this, &promoted, before = last.get()] {
    measure_image(*promoted, before.value_or(std::string()));
  });
  record();
  check.after_promotion();
  remembered.wait();
  papers.after_promotion();
  sbom_left_ = papers.left();
  return published.image;
}

/// Best effort: without it the log does not say what is new.
void BuildSteps::measure_image(const domain::ImageLayers& layers, const std::string& before) {
  image_size_ = domain::size_of(layers, domain::read_last_layers(before), request_.deployment_id);
  if (layers.empty()) {
    return;
  }
  if (const auto told =
          ports_.queue.remember(taken_.receipt, memory_of(ServiceMemory::What::last_image),
                                domain::write_last_layers(request_.deployment_id, layers));
      !told) {
    log_.debug("the image's layers are not remembered: {}", told.error().message);
  }
}

ServiceMemory BuildSteps::memory_of(ServiceMemory::What what) const {
  return {.service = request_.service_id, .what = what};
}

/// What others see is changed only while the job is certainly ours.
Result<> BuildSteps::check_lease() const {
  if (!taken_.receipt.lease->wait(job_.stop)) {
    return failure(job_.stop.stop_requested() ? ErrorKind::cancelled : ErrorKind::conflict,
                   "the lease is lost");
  }
  return {};
}

/// Best effort: without it the next attempt does more than it had to.
void BuildSteps::record() {
  if (const auto recorded = ports_.queue.record(taken_.receipt, checkpoint_); !recorded) {
    log_.debug("progress not recorded: {}", recorded.error().message);
  }
}

}  // namespace builder::build
