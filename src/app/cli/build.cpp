#include "adapters/oci/push_fault.hpp"
#include "app/cli/build_explain.hpp"
#include "app/cli/build_wanted.hpp"
#include "app/cli/command_line.hpp"
#include "app/cli/settings.hpp"
#include "app/cli/view/redacted_events.hpp"
#include "app/cli/view/view.hpp"
#include "app/cli/words_by_hand.hpp"
#include "app/compose/engine_choice.hpp"
#include "app/compose/local_parts.hpp"
#include "app/config/config.hpp"
#include "app/process/interrupt.hpp"
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

std::optional<std::string> variable(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

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
  for (const auto& [name, value] : wanted.build.options.arguments) {
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

Result<Built> run(BuildWanted& wanted, Config config, const std::stop_token& stop,
                  SecretStore& secrets, domain::EventSink& events, const Log& log) {
  BUILDER_TRY_ASSIGN(const auto parts, LocalParts::make(std::move(config), wanted.build.repository,
                                                        variable, secrets, log));
  BUILDER_TRY(parts->build->ask_engine(stop));
  const ports::JobContext job{
      .deployment_id = wanted.build.request.deployment_id,
      .stop = stop,
      .deadline = std::chrono::steady_clock::now() + parts->config.build_timeout,
      .log = log};
  BUILDER_TRY_ASSIGN(auto source, source_of(wanted, *parts, job, events));
  BUILDER_TRY_ASSIGN(
      auto result, build::run_local_build(parts->ports(), step_settings(parts->config, parts->work),
                                          wanted.build, std::move(source), job, events));
  if (wanted.output != nullptr) {
    BUILDER_TRY(wanted.output->keep());
    result.size = wanted.output->size();
  }
  std::string became =
      wanted.output != nullptr ? "Written to " + wanted.output->name()
      : std::holds_alternative<build::ToRegistry>(wanted.build.target)
          ? "Pushed to " + joined(wanted.images())
          : fmt::format("Loaded into the Docker Engine at {}", parts->docker_address());
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

/// Says what would be built, and of what. Of a repository its commit is fetched; nothing is run.
Result<> explain_build(const BuildLine& line, BuildWanted& wanted, const EngineChoice& engine,
                       Config config, const std::stop_token& stop, SecretStore& secrets,
                       domain::EventSink& events, const Log& log) {
  BUILDER_TRY_ASSIGN(const auto parts, LocalParts::make(std::move(config), wanted.build.repository,
                                                        variable, secrets, log));
  const ports::JobContext job{
      .deployment_id = wanted.build.request.deployment_id, .stop = stop, .log = log};
  BUILDER_TRY_ASSIGN(auto source, source_of(wanted, *parts, job, events));
  const build::StepSettings settings = step_settings(parts->config, parts->work);
  BUILDER_TRY_ASSIGN(const auto plan,
                     build::make_build_plan(wanted.build.request, settings.buildpacks, source.tree,
                                            events, settings.delivery));
  BUILDER_TRY_ASSIGN(const BuildExplanation explanation, explain(plan, *source.tree));
  const bool cannot_load = std::holds_alternative<build::BuildpacksPlan>(plan) && line.push.empty();
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
      {"Result", cannot_load ? "none: an image that buildpacks make needs --push REF" : result}};
  fmt::print("{}", wanted.progress == "json"
                       ? explanation_json(explanation, facts)
                       : explanation_text(terminal_of(STDOUT_FILENO), explanation, facts));
  return {};
}

Exit build(const BuildLine& line) {
  const auto started = std::chrono::steady_clock::now();
  const Interrupt interrupt;
  auto wanted = understood(line, variable);
  if (!wanted) {
    complain(wanted.error().message);
    return Exit::usage;
  }
  const auto engine = choose_engine(variable);
  if (!engine && !line.explain) {
    complain(engine.error().message);
    return Exit::failed;
  }
  const EngineChoice chosen = engine.value_or(EngineChoice{
      .setting = "DOCKER_HOST", .address = "unix:///var/run/docker.sock", .reason = {}});
  const LoadedConfig loaded = build_settings(line, *wanted, chosen, variable);
  if (const auto errors = loaded.errors_of({Concern::build}); !errors.empty()) {
    print_errors(errors);
    return Exit::usage;
  }
  const auto view = view_of(line, *wanted);
  if (!view) {
    complain(view.error().message);
    return Exit::usage;
  }
  SecretStore secrets;
  const auto own_secrets = secrets.add_deployment(secrets_of(loaded.config, *wanted));
  RedactedEvents events(**view, own_secrets);
  const bool is_folder = wanted->git() == nullptr;
  MessagesByHand by_hand(events, is_folder);
  const auto level = variable("LOG_LEVEL") ? loaded.config.log_level : LogLevel::warning;
  const Log log(std::make_shared<EventsLog>(events, level));
  const std::stop_token stop = interrupt.token();
  if (line.explain) {
    const auto explained =
        explain_build(line, *wanted, chosen, loaded.config, stop, secrets, by_hand, log);
    if (!explained) {
      events.finish(failed(explained.error(), is_folder, stop.stop_requested()));
    }
    return explained ? Exit::ok : stop.stop_requested() ? Exit::aborted : Exit::failed;
  }
  events.info(chosen.reason);
  for (const std::string& warning : wanted->warnings) {
    events.warning(warning);
  }
  auto built = run(*wanted, loaded.config, stop, secrets, by_hand, log);
  BuildSummary summary = built ? succeeded(*wanted, *std::move(built))
                               : failed(built.error(), is_folder, stop.stop_requested());
  const BuildEnd end = summary.end;
  summary.total = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - started);
  events.finish(std::move(summary));
  return end == BuildEnd::succeeded ? Exit::ok
         : end == BuildEnd::aborted ? Exit::aborted
                                    : Exit::failed;
}

/// Options that name what is built.
void declare_source(CLI::App& verb, BuildLine& line) {
  verb.add_option(
          "SOURCE", line.source,
          "A folder, or https://HOST/REPOSITORY[#[BRANCH][:FOLDER]]; default: the folder we "
          "are in")
      ->type_name("DIR");
  verb.add_option("-f,--file", line.dockerfile, "The Dockerfile; default: Dockerfile")
      ->type_name("FILE");
  verb.add_option("--target", line.target, "Build this stage of the Dockerfile")
      ->type_name("STAGE");
  verb.add_option("--platform", line.platform, "Default: linux/amd64")->type_name("OS/ARCH");
  verb.add_option("--build-arg", line.arguments, "A value for ARG; repeatable")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  verb.add_option("--env", line.environment,
                  "A variable of the service: written to .env, as the platform does; repeatable")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  verb.add_option("--env-file", line.environment_files, "A file of such variables; repeatable")
      ->type_name("FILE")
      ->allow_extra_args(false);
  verb.add_option("--builder", line.builder, "Builder image, where there is no Dockerfile")
      ->type_name("IMAGE");
  verb.add_flag("--no-cache", line.no_cache, "Run every step");
}

/// A script whose variable is not set means something else than the default.
std::string is_something(const std::string& value) {
  return value.empty() ? "is empty" : "";
}

/// Options that name what becomes of it.
void declare_result(CLI::App& verb, BuildLine& line) {
  verb.add_option("-t,--tag", line.tags, "Name of the image; default: the folder's; repeatable")
      ->type_name("NAME[:TAG]")
      ->allow_extra_args(false)
      ->check(is_something);
  verb.add_option("-o,--output", line.output,
                  "Write the files of the image to a folder; type=oci|docker|tar|local,dest=PATH "
                  "says how and where, and - is stdout")
      ->type_name("DIR")
      ->check(is_something);
  verb.add_option("--push", line.push, "Push the image to a registry under this name; repeatable")
      ->type_name("REF")
      ->allow_extra_args(false)
      ->check(is_something);
  verb.add_option("--progress", line.progress, "How it is shown")
      ->check(CLI::IsMember(std::set<std::string>(k_progress.begin(), k_progress.end())))
      ->type_name("HOW");
  verb.add_flag("-q,--quiet", line.quiet, "Print the digest or ID of the image, and no more");
  verb.add_flag("--json", line.json, "For programs: as --progress=json");
  verb.add_flag("--explain", line.explain, "Say what would be built, and of what; run nothing");
}

}  // namespace

void add_build(CommandLine& command_line) {
  const auto line = std::make_shared<BuildLine>();
  CLI::App& verb = command_line.verb(
      nullptr, "build", "Build the image of a folder or a repository as the platform would",
      "  deployra-builder build                                    the folder we are in, into "
      "Docker\n"
      "  deployra-builder build -t shop/web:1.2 --env-file .env web/\n"
      "  deployra-builder build https://github.com/shop/web#main   a repository\n"
      "  deployra-builder build --output type=oci,dest=image.tar   into a file\n"
      "  deployra-builder build --push registry.example.com/shop/web:1.2\n"
      "  deployra-builder build --explain                          what would it be made of?",
      [line] { return build(*line); });
  declare_source(verb, *line);
  declare_result(verb, *line);
}

}  // namespace builder::app::cli
