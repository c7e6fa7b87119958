#include "app/cli/build_run.hpp"

#include "adapters/oci/push_fault.hpp"
#include "adapters/oci/reference.hpp"
#include "app/cli/build_explain.hpp"
#include "app/cli/command_line.hpp"
#include "app/cli/settings.hpp"
#include "app/cli/view/redacted_events.hpp"
#include "app/cli/view/view.hpp"
#include "app/cli/words_by_hand.hpp"
#include "app/compose/engine_choice.hpp"
#include "app/compose/local_parts.hpp"
#include "app/config/config.hpp"
#include "domain/knobs/knob_readers.hpp"
#include "domain/request_secrets.hpp"
#include "domain/source_spec.hpp"
#include "ports/subtree.hpp"

#include <fmt/core.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <set>
#include <utility>

namespace builder::app::cli {

namespace {

/// What the parts have to say to an operator, who is the person that watches. More of it with
/// LOG_LEVEL.
class EventsLog final : public LogSink {
 public:
  EventsLog(domain::EventSink& events, LogLevel level) : events_(events), level_(level) {}

  void write(LogLevel level, std::string_view line) override {
    events_.emit(domain::Message{
        .type = level >= LogLevel::warning ? domain::LogType::warning : domain::LogType::info,
        .text = std::string(line)});
  }

  [[nodiscard]] bool enabled(LogLevel level) const override { return level >= level_; }

 private:
  domain::EventSink& events_;
  const LogLevel level_;
};

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The Dockerfile of a folder, for a failure that names a line of it.
SourceReader source_reader(const BuildWanted& wanted) {
  if (wanted.git() != nullptr) {
    return {};
  }
  constexpr std::size_t k_dockerfile_limit = 1024 * 1024;
  return [folder = std::get<std::string>(wanted.source)](
             const std::string& file) -> std::optional<std::string> {
    const auto source = folder_source(folder);
    if (!source) {
      return std::nullopt;
    }
    auto text = ports::read_file(*source->tree, file, k_dockerfile_limit);
    return text ? std::optional(*std::move(text)) : std::nullopt;
  };
}

Result<std::unique_ptr<BuildView>> view_of(const BuildLine& line, const BuildWanted& wanted) {
  const auto output = parse_output(line.output);
  const bool to_stdout = output && output->is_stdout();
  return make_view(line.explain ? "plain" : wanted.progress, terminal_of(STDERR_FILENO),
                   to_stdout ? stderr : stdout, source_reader(wanted));
}

std::vector<NamedSecret> secrets_of(const Config& config, const BuildWanted& wanted) {
  domain::DeploymentRequest request = wanted.build.request;
  for (const auto& [name, value] : domain::knobs::given_values(wanted.build.knobs.args)) {
    request.environment.push_back({.key = name, .value = value});
  }
  std::vector<NamedSecret> secrets = domain::secrets_of(request);
  for (NamedSecret& own : app::secrets_of(config)) {
    secrets.push_back(std::move(own));
  }
  return secrets;
}

/// A folder as it is, or a repository's commit with the times that its files have at the platform.
Result<ports::FetchedSource> source_of(BuildWanted& wanted, LocalParts& parts,
                                       const ports::JobContext& job, domain::EventSink& events) {
  const GitAddress* const git = wanted.git();
  if (git == nullptr) {
    return folder_source(std::get<std::string>(wanted.source));
  }
  BUILDER_TRY_ASSIGN(auto spec, domain::resolve_source(wanted.build.request, {}));
  spec.branch = git->branch;  // Without one, the repository's own default.
  wanted.build.source_url = spec.url;
  BUILDER_TRY_ASSIGN(auto source, parts.build->source->fetch(job.within(parts.config.fetch_timeout),
                                                             spec, events));
  if (!git->folder.empty()) {
    BUILDER_TRY_ASSIGN(source.tree, ports::make_subtree(std::move(source.tree), git->folder));
  }
  return source;
}

struct Built {
  build::LocalResult result;
  std::string became;  ///< For a person.
};

/// What a build is done with.
struct Means {
  Config config;
  EnvironmentLookup environment;
  std::stop_token stop;
  SecretStore& secrets;
  domain::EventSink& events;
  Log log;

  Result<std::unique_ptr<LocalParts>> parts_for(const build::LocalBuild& build) {
    LocalRegistry registry{.repository = build.repository, .login_only_for = {}};
    if (build.is_strangers) {
      registry.login_only_for = std::holds_alternative<build::ToRegistry>(build.target)
                                    ? adapters::oci::reference_of(build.repository, {}).host
                                    : std::string();
    }
    return LocalParts::make(std::move(config), std::move(registry), environment, secrets, log);
  }
};

Result<Built> run(BuildWanted& wanted, Means means) {
  BUILDER_TRY_ASSIGN(const auto parts, means.parts_for(wanted.build));
  const std::stop_token& stop = means.stop;
  domain::EventSink& events = means.events;
  BUILDER_TRY(parts->build->ask(parts->build->engines.front(), stop));
  const ports::JobContext job{
      .deployment_id = wanted.build.request.deployment_id,
      .stop = stop,
      .deadline = std::chrono::steady_clock::now() + parts->config.build_timeout,
      .log = means.log};
  BUILDER_TRY_ASSIGN(const auto source, source_of(wanted, *parts, job, events));
  BUILDER_TRY_ASSIGN(
      auto result, build::run_local_build(parts->ports(), step_settings(parts->config, parts->work),
                                          wanted.build, source, job, events));
  if (wanted.output != nullptr) {
    BUILDER_TRY(wanted.output->keep());
    result.size = wanted.output->size();
  }
  std::string became =
      wanted.output != nullptr ? "Written to " + wanted.output->name()
      : std::holds_alternative<build::ToRegistry>(wanted.build.target)
          ? "Pushed to " + joined(wanted.images())
          : fmt::format("Loaded into the Docker Engine at {}", parts->docker_address());
  if (wanted.replay && !result.digest.empty() && result.digest == wanted.replay->digest) {
    became += "; its digest is the original's";
  }
  return Built{.result = std::move(result), .became = std::move(became)};
}

BuildSummary failed(const Error& error, bool is_folder, bool interrupted) {
  BuildSummary summary;
  if (interrupted) {
    summary.end = BuildEnd::aborted;
    summary.result = "Stopped";
    return summary;
  }
  summary.end = BuildEnd::failed;
  // What only the operator can mend is told in the operator's words: that is who watches.
  const bool is_own = error.customer.empty() || !error.setting.empty();
  summary.result = is_own ? error.message : words_by_hand(error.customer, is_folder);
  if (!error.last_words.empty()) {
    summary.result += ": " + error.last_words;
  }
  if (error.kind == ErrorKind::denied && error.setting == adapters::oci::k_registry_setting) {
    summary.details.emplace_back("docker login HOST leaves the login that is used");
  }
  if (!is_own && error.kind != ErrorKind::build_failed && error.kind != ErrorKind::invalid_input) {
    summary.details.push_back(error.message);
  }
  return summary;
}

BuildSummary succeeded(const BuildWanted& wanted, Built built) {
  BuildSummary summary;
  summary.result = std::move(built.became);
  const auto* const archive = std::get_if<build::ToArchive>(&wanted.build.target);
  if (archive == nullptr || archive->archive != ports::Archive::files) {
    summary.images = wanted.images();  // Files have no name.
  }
  summary.digest = std::move(built.result.digest);
  summary.size = built.result.size;
  summary.context_bytes = built.result.context_bytes_sent;
  return summary;
}

/// The values of ARGs that the build would be given.
std::map<std::string, std::string> arguments_of(const build::BuildPlan& plan,
                                                const build::LocalBuild& wanted,
                                                const build::StepSettings& settings) {
  const auto* const dockerfile = std::get_if<build::DockerfilePlan>(&plan);
  if (dockerfile == nullptr) {
    return {};
  }
  std::map<std::string, std::string> given = dockerfile->target.options.arguments;
  given.merge(build::delivered(dockerfile->target, wanted.request.environment, settings.delivery,
                               wanted.caches.secrets)
                  .arguments);
  return given;
}

/// Says what would be built, and of what. Of a repository its commit is fetched; nothing is run.
Result<> explain_build(const BuildLine& line, BuildWanted& wanted, const EngineChoice& engine,
                       Means means) {
  BUILDER_TRY_ASSIGN(const auto parts, means.parts_for(wanted.build));
  const ports::JobContext job{
      .deployment_id = wanted.build.request.deployment_id, .stop = means.stop, .log = means.log};
  domain::EventSink& events = means.events;
  BUILDER_TRY_ASSIGN(const auto source, source_of(wanted, *parts, job, events));
  const build::StepSettings settings = step_settings(parts->config, parts->work);
  BUILDER_TRY_ASSIGN(const build::LocalPlan planned,
                     build::make_local_plan(settings, wanted.build, source.tree, events));
  const build::BuildPlan& plan = planned.plan;
  const PolicyOfBuild policy{.policy = parts->config.policy.get(),
                             .frontends = parts->config.frontends,
                             .given = arguments_of(plan, wanted.build, settings)};
  BUILDER_TRY_ASSIGN(BuildExplanation explanation, explain(planned, *source.tree, policy));
  explanation.replay = wanted.replay;
  explanation.no_cache = planned.knobs.no_cache && planned.knobs.no_cache->value;
  const bool cannot_write =
      std::holds_alternative<build::BuildpacksPlan>(plan) && !line.output.empty();
  const std::string names = joined(wanted.images());
  const std::string result = !line.push.empty()    ? "pushed to " + names
                             : line.output.empty() ? "loaded as " + names
                                                   : "written to " + line.output;
  const std::vector<std::pair<std::string, std::string>> facts{
      {"Source",
       wanted.git() == nullptr
           ? std::get<std::string>(wanted.source)
           : fmt::format("{}/{}{} at {}", wanted.git()->provider.url, wanted.git()->repository,
                         wanted.git()->folder.empty() ? "" : ":" + wanted.git()->folder,
                         source.commit.str())},
      {"Engine", engine.address},
      {"Result", cannot_write
                     ? "none: an image that buildpacks make goes to the Docker Engine or a registry"
                     : result}};
  fmt::print("{}", wanted.progress == "json"
                       ? explanation_json(explanation, facts)
                       : explanation_text(terminal_of(STDOUT_FILENO), explanation, facts));
  return {};
}

}  // namespace

Exit run_build(const BuildLine& line, BuildWanted wanted, const BuildSurroundings& around) {
  const auto started = std::chrono::steady_clock::now();
  const auto engine = choose_engine(around.environment);
  if (!engine && !line.explain) {
    complain(engine.error().message);
    return Exit::failed;
  }
  const EngineChoice chosen = engine.value_or(EngineChoice{
      .setting = "DOCKER_HOST", .address = "unix:///var/run/docker.sock", .reason = {}});
  const LoadedConfig loaded = build_settings(line, wanted, chosen, around.environment);
  if (const auto errors = loaded.errors_of({Concern::build}); !errors.empty()) {
    print_errors(errors);
    return Exit::usage;
  }
  const auto view = view_of(line, wanted);
  if (!view) {
    complain(view.error().message);
    return Exit::usage;
  }
  SecretStore secrets;
  const auto own_secrets = secrets.add_deployment(secrets_of(loaded.config, wanted));
  RedactedEvents events(**view, own_secrets);
  const bool is_folder = wanted.git() == nullptr;
  MessagesByHand by_hand(events, is_folder);
  const auto level = around.environment("LOG_LEVEL") ? loaded.config.log_level : LogLevel::warning;
  const Means means{.config = loaded.config,
                    .environment = around.environment,
                    .stop = around.stop,
                    .secrets = secrets,
                    .events = by_hand,
                    .log = Log(std::make_shared<EventsLog>(events, level))};
  const std::stop_token& stop = around.stop;
  if (line.explain) {
    const auto explained = explain_build(line, wanted, chosen, means);
    if (!explained) {
      events.finish(failed(explained.error(), is_folder, stop.stop_requested()));
    }
    return explained ? Exit::ok : stop.stop_requested() ? Exit::aborted : Exit::failed;
  }
  if (wanted.replay) {
    for (domain::Message& message : replay_messages(*wanted.replay)) {
      events.emit(std::move(message));
    }
  }
  events.info(chosen.reason);
  for (const std::string& warning : wanted.warnings) {
    events.warning(warning);
  }
  auto built = run(wanted, means);
  BuildSummary summary = built ? succeeded(wanted, *std::move(built))
                               : failed(built.error(), is_folder, stop.stop_requested());
  const BuildEnd end = summary.end;
  summary.total = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - started);
  events.finish(std::move(summary));
  return end == BuildEnd::succeeded ? Exit::ok
         : end == BuildEnd::aborted ? Exit::aborted
                                    : Exit::failed;
}

}  // namespace builder::app::cli
