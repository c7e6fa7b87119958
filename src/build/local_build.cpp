#include "build/local_build.hpp"

#include "build/file_times.hpp"
#include "domain/knobs/knob_readers.hpp"
#include "ports/buildpacks_builder.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace builder::build {

namespace {

using ports::JobContext;

Result<> check_target(const LocalPorts& ports, const LocalTarget& target, const JobContext& job) {
  if (std::holds_alternative<ToEngine>(target)) {
    return ports.exporter.can_load(job);
  }
  const auto* archive = std::get_if<ToArchive>(&target);
  return archive == nullptr ? Result<>() : ports.exporter.can_write(job, archive->archive);
}

LocalResult of(const ports::PublishResult& published) {
  return {.digest = published.image.digest,
          .context_bytes_sent = published.figures.context_bytes_sent};
}

LocalResult of(ports::ExportedImage exported) {
  return {.digest = std::move(exported.digest),
          .size = exported.size,
          .context_bytes_sent = exported.context_bytes_sent};
}

Result<LocalResult> build_dockerfile(const LocalPorts& ports, const StepSettings& settings,
                                     const LocalBuild& build, DockerfilePlan plan,
                                     const ports::SourceCommit& commit, const JobContext& job,
                                     domain::EventSink& events) {
  events.info("Building image from " + plan.target.dockerfile);
  ports::BuildOptions options = plan.target.options;
  options.pins = build.pins;
  options.labelled_source = settings.image_labels ? build.source_url : std::string();
  const ports::ImageSpec image{
      .service_id = build.request.service_id,
      .context = std::move(plan.tree),
      .dockerfile = plan.target.dockerfile,
      .repository = build.repository,
      .tag = build.tag,
      .commit = [commit] { return Result<ports::SourceCommit>(commit); },
      .cache_namespace = build.caches.dockerfile(plan.target.cache_sharing),
      .options = std::move(options),
      .variables = delivered(plan.target, build.request.environment, settings.delivery,
                             build.caches.secrets),
      // Where none is pushed to, the repository is a name on this machine.
      .may_read_registry = !build.is_strangers || !std::holds_alternative<ToRegistry>(build.target),
      .more_names = build.more_names,
      .dockerfile_tree = std::move(plan.dockerfile_tree)};
  if (std::holds_alternative<ToRegistry>(build.target)) {
    BUILDER_TRY_ASSIGN(const auto published, ports.image.publish(job, image, events));
    return of(published);
  }
  const auto* archive = std::get_if<ToArchive>(&build.target);
  BUILDER_TRY_ASSIGN(auto exported, archive == nullptr
                                        ? ports.exporter.load(job, image, events)
                                        : ports.exporter.write(job, image, archive->archive,
                                                               *archive->sink, events));
  return of(std::move(exported));
}

Result<LocalResult> build_with_buildpacks(const LocalPorts& ports, const LocalBuild& build,
                                          BuildpacksPlan plan, const ports::FetchedSource& source,
                                          const JobContext& job, domain::EventSink& events) {
  if (std::holds_alternative<ToArchive>(build.target)) {
    return std::unexpected(
        Error{.kind = ErrorKind::invalid_input,
              .message = "no Dockerfile, and buildpacks write no archives",
              .customer = "There is no Dockerfile, and an image that buildpacks make goes to the "
                          "Docker Engine or to a registry: leave --output, or --push REF"});
  }
  if (!build.more_names.empty()) {
    return std::unexpected(Error{
        .kind = ErrorKind::invalid_input,
        .message = "no Dockerfile, and buildpacks push under one name",
        .customer = "There is no Dockerfile, and an image that buildpacks make gets one name: "
                    "leave one of --tag and --push"});
  }
  ports::BuildpacksSpec spec = spec_of(std::move(plan), source, build.source_url);
  spec.service_id = build.request.service_id;
  spec.repository = build.repository;
  spec.tag = build.tag;
  spec.cache_namespace = build.caches.buildpacks;
  spec.pins = build.pins;
  if (std::holds_alternative<ToEngine>(build.target)) {
    BUILDER_TRY_ASSIGN(auto exported, ports.buildpacks.load(job, spec, events));
    return of(std::move(exported));
  }
  BUILDER_TRY_ASSIGN(const auto result, ports.buildpacks.publish(job, spec, events));
  return of(result.published);
}

}  // namespace

Result<LocalPlan> make_local_plan(const StepSettings& settings, const LocalBuild& build,
                                  const std::shared_ptr<const ports::SourceTree>& source,
                                  domain::EventSink& events) {
  BUILDER_TRY_ASSIGN(auto said, read_knobs(build.request, settings.knobs, *source));
  domain::knobs::BuildKnobs knobs = domain::knobs::merged(build.knobs, std::move(said));
  BUILDER_TRY_ASSIGN(BuildPlan plan,
                     make_build_plan(build.request, settings, knobs, source, events));
  return LocalPlan{.plan = std::move(plan), .knobs = std::move(knobs)};
}

Result<LocalResult> run_local_build(const LocalPorts& ports, const StepSettings& settings,
                                    const LocalBuild& build, const ports::FetchedSource& source,
                                    const JobContext& outer, domain::EventSink& events) {
  JobContext job = outer;
  BUILDER_TRY(check_target(ports, build.target, job));
  BUILDER_TRY_ASSIGN(LocalPlan planned, make_local_plan(settings, build, source.tree, events));
  BuildPlan& plan = planned.plan;
  if (planned.knobs.timeout) {
    job = job.within(planned.knobs.timeout->value);
  }
  auto* const dockerfile = std::get_if<DockerfilePlan>(&plan);
  if (!source.commit.empty()) {
    auto& tree = dockerfile != nullptr ? dockerfile->tree : std::get<BuildpacksPlan>(plan).app;
    BUILDER_TRY_ASSIGN(TimedTree timed,
                       give_times(std::move(tree), dockerfile != nullptr ? "" : "buildpacks",
                                  source.committed_at, settings.times_key, {}));
    tree = std::move(timed.tree);
  }
  if (dockerfile != nullptr) {
    return build_dockerfile(ports, settings, build, std::move(*dockerfile),
                            {.id = source.commit.str(), .time = source.committed_at}, job, events);
  }
  auto& buildpacks = std::get<BuildpacksPlan>(plan);
  if (settings.image_labels && !build.source_url.empty()) {
    ask_for_labels(buildpacks, build.source_url,
                   {.id = source.commit.str(), .time = source.committed_at});
  }
  return build_with_buildpacks(ports, build, std::move(buildpacks), source, job, events);
}

}  // namespace builder::build
