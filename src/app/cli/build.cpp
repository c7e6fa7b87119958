#include "adapters/oci/reference.hpp"
#include "app/cli/build_output.hpp"
#include "app/cli/command_line.hpp"
#include "app/cli/settings.hpp"
#include "app/cli/view/redacted_events.hpp"
#include "app/cli/view/view.hpp"
#include "app/compose/engine_choice.hpp"
#include "app/compose/local_parts.hpp"
#include "app/config/config.hpp"
#include "app/config/dotenv_file.hpp"
#include "app/process/interrupt.hpp"
#include "base/ascii.hpp"
#include "base/text.hpp"
#include "build/local_build.hpp"
#include "domain/request_secrets.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

namespace builder::app::cli {

namespace {

namespace fs = std::filesystem;

/// What was typed.
struct Typed {
  std::string source = ".";
  std::string tag;
  std::string dockerfile;
  std::string target;
  std::string platform;
  std::vector<std::string> arguments;
  std::vector<std::string> environment;
  std::vector<std::string> environment_files;
  std::string output;
  std::string push;
  std::string progress = "auto";
  bool no_cache = false;
  bool quiet = false;
};

std::unexpected<Error> wrong(std::string message) {
  return failure(ErrorKind::invalid_input, std::move(message));
}

std::optional<std::string> variable(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

/// `NAME=VALUE`; `NAME` alone stands for what it is here, as `docker build` reads it.
Result<std::pair<std::string, std::string>> assignment(std::string_view option,
                                                       const std::string& text) {
  const auto equals = text.find('=');
  std::string name = text.substr(0, equals);
  if (name.empty()) {
    return wrong(fmt::format("{} {}: the name is missing", option, text));
  }
  if (equals != std::string::npos) {
    return std::pair(std::move(name), text.substr(equals + 1));
  }
  auto value = variable(name);
  if (!value) {
    return wrong(
        fmt::format("{} {}: {} is not set here; write {}=VALUE", option, text, name, name));
  }
  return std::pair(std::move(name), *std::move(value));
}

Result<std::vector<domain::EnvironmentVariable>> environment_of(const Typed& typed) {
  std::vector<domain::EnvironmentVariable> variables;
  for (const std::string& path : typed.environment_files) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (!file || !(text << file.rdbuf())) {
      return wrong(fmt::format("--env-file {}: cannot be read", path));
    }
    std::vector<std::string> problems;
    for (auto& [name, value] : parse_dotenv(text.view(), path, problems)) {
      variables.push_back({.key = name, .value = std::move(value)});
    }
    if (!problems.empty()) {
      return wrong("--env-file " + problems.front());
    }
  }
  for (const std::string& text : typed.environment) {
    BUILDER_TRY_ASSIGN(auto named, assignment("--env", text));
    variables.push_back({.key = std::move(named.first), .value = std::move(named.second)});
  }
  return variables;
}

/// A folder's name as the name of an image.
std::string image_name(std::string_view folder) {
  std::string name;
  for (const char c : lower_case(folder)) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (is_plain || (!name.empty() && name.back() != '-')) {
      name += is_plain ? c : '-';
    }
  }
  while (name.ends_with('-')) {
    name.pop_back();
  }
  return name.empty() ? "app" : name;
}

struct ImageName {
  ports::Repository repository;
  std::string tag;

  [[nodiscard]] std::string str() const { return repository.uri + ":" + tag; }
};

/// `NAME[:TAG]`, checked.
Result<ImageName> parse_name(std::string_view option, const std::string& text) {
  const auto reference = adapters::oci::parse_reference(text);
  if (!reference || !reference->digest.empty()) {
    return wrong(fmt::format("{} {}: is not the name of an image, as shop/web:1.2", option, text));
  }
  const bool has_tag = text.ends_with(":" + reference->tag);
  return ImageName{
      .repository = {has_tag ? text.substr(0, text.size() - reference->tag.size() - 1) : text},
      .tag = reference->tag};
}

/// The Dockerfile's path below the folder. It counts from the folder, or from where we are.
Result<std::string> dockerfile_in(const fs::path& folder, const std::string& typed) {
  if (typed.empty() || (!fs::path(typed).is_absolute() && fs::exists(folder / typed))) {
    return typed;
  }
  std::error_code error;
  const fs::path file = fs::weakly_canonical(typed, error);
  const fs::path inside = file.lexically_relative(folder);
  if (error || !fs::exists(file) || inside.empty() || *inside.begin() == "..") {
    return fs::exists(file)
               ? wrong(fmt::format("--file {}: lies outside {}", typed, folder.string()))
               : wrong(fmt::format("--file {}: there is no such file", typed));
  }
  return inside.string();
}

/// What an engine knows this folder's files by: another folder, user or machine has another.
domain::ServiceId identity_of(const fs::path& folder) {
  std::ifstream file("/etc/machine-id");
  std::string machine;
  std::getline(file, machine);
  return domain::ServiceId(
      "local-" +
      sha256_hex(fmt::format("{}\n{}\n{}", machine, ::getuid(), folder.string())).substr(0, 24));
}

/// What is wanted, understood and checked.
struct Wanted {
  fs::path folder;
  build::LocalBuild build;
  ImageName image;
  std::unique_ptr<OutputFile> file;
};

Result<build::LocalTarget> target_of(const Typed& typed, Wanted& wanted) {
  if (!typed.push.empty()) {
    return build::ToRegistry{};
  }
  if (typed.output.empty()) {
    return build::ToEngine{};
  }
  BUILDER_TRY_ASSIGN(const OutputSpec output, parse_output(typed.output));
  BUILDER_TRY_ASSIGN(wanted.file, OutputFile::open(output.destination));
  const ports::Archive archive = output.type == OutputType::oci      ? ports::Archive::oci
                                 : output.type == OutputType::docker ? ports::Archive::docker
                                                                     : ports::Archive::files;
  return build::ToArchive{.archive = archive, .sink = &wanted.file->sink()};
}

Result<Wanted> understood(const Typed& typed) {
  Wanted wanted;
  std::error_code error;
  wanted.folder = fs::canonical(typed.source, error);
  if (error || !fs::is_directory(wanted.folder)) {
    return wrong(fmt::format("{}: {}", typed.source, error ? error.message() : "is no folder"));
  }
  if (!typed.push.empty() && (!typed.tag.empty() || !typed.output.empty())) {
    return wrong("--push names the image and where it goes: leave --tag and --output away");
  }
  if (typed.platform.contains(',')) {
    return wrong("--platform: one platform is built at a time");
  }
  domain::DeploymentRequest& request = wanted.build.request;
  request.deployment_id = domain::DeploymentId("local");
  request.service_id = identity_of(wanted.folder);
  BUILDER_TRY_ASSIGN(request.environment, environment_of(typed));
  BUILDER_TRY_ASSIGN(request.runtime_file_path, dockerfile_in(wanted.folder, typed.dockerfile));
  ports::BuildOptions& options = wanted.build.options;
  options.target = typed.target;
  options.platform = typed.platform;
  options.no_cache = typed.no_cache;
  for (const std::string& text : typed.arguments) {
    BUILDER_TRY_ASSIGN(auto named, assignment("--build-arg", text));
    options.arguments.insert_or_assign(std::move(named.first), std::move(named.second));
  }
  if (!typed.push.empty()) {
    BUILDER_TRY_ASSIGN(wanted.image, parse_name("--push", typed.push));
  } else {
    BUILDER_TRY_ASSIGN(
        wanted.image,
        parse_name("--tag",
                   typed.tag.empty() ? image_name(wanted.folder.filename().string()) : typed.tag));
  }
  wanted.build.repository = wanted.image.repository;
  wanted.build.tag = wanted.image.tag;
  BUILDER_TRY_ASSIGN(wanted.build.target, target_of(typed, wanted));
  return wanted;
}

/// The environment alone: a `.env` in a folder that is built is its owner's, and no configuration.
/// Whoever starts a build by hand trusts its source as much as their own shell, so what keeps
/// customers apart is off unless it is asked for.
LoadedConfig settings_of(const EngineChoice& engine) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> k_defaults{{
      {"GIT_NETWORK_POLICY", "any"},
      {"BUILD_NETWORK_POLICY", "any"},
      {"FRONTENDS", "any"},
      {"BUILD_MEMORY", "0"},
      {"BUILD_PIDS", "0"},
      // A folder has no commit whose time its image could bear.
      {"IMAGE_EPOCH", "off"},
  }};
  return load_config(
      [&](std::string_view name) -> std::optional<std::string> {
        if (auto value = variable(name); value && !value->empty()) {
          return value;
        }
        if (name == engine.setting) {
          return engine.address;
        }
        const auto* const found = std::ranges::find(
            k_defaults, name, &std::pair<std::string_view, std::string_view>::first);
        return found == k_defaults.end() ? std::nullopt : std::optional<std::string>(found->second);
      },
      "");
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

Result<std::unique_ptr<BuildView>> view_of(const Typed& typed, const std::string& folder) {
  constexpr std::size_t k_dockerfile_limit = 1024 * 1024;
  return make_view(typed.quiet ? "quiet" : typed.progress, terminal_of(STDERR_FILENO),
                   typed.output.ends_with("dest=-") ? stderr : stdout,
                   [folder](const std::string& file) -> std::optional<std::string> {
                     const auto source = folder_source(folder);
                     auto text = source ? ports::read_file(*source->tree, file, k_dockerfile_limit)
                                        : std::unexpected(source.error());
                     return text ? std::optional(*std::move(text)) : std::nullopt;
                   });
}

std::vector<NamedSecret> secrets_of(const Config& config, const Wanted& wanted) {
  std::vector<NamedSecret> secrets = domain::secrets_of(wanted.build.request);
  for (const auto& [host, login] : config.registry_logins) {
    secrets.push_back({"password for " + host, login.password});
  }
  return secrets;
}

std::string became(const Wanted& wanted, const LocalParts& parts, const Typed& typed) {
  if (!typed.push.empty()) {
    return "Pushed to " + wanted.image.str();
  }
  return wanted.file != nullptr
             ? "Written to " + wanted.file->name()
             : fmt::format("Loaded into the Docker Engine at {}", parts.docker_address());
}

struct Built {
  build::LocalResult result;
  std::string became;  ///< For a person.
};

Result<Built> run(const Typed& typed, const Wanted& wanted, Config config,
                  const std::stop_token& stop, domain::EventSink& events, const Log& log) {
  SecretStore secrets;
  BUILDER_TRY_ASSIGN(const auto parts,
                     LocalParts::make(std::move(config), wanted.image.repository, secrets, log));
  BUILDER_TRY(parts->build->ask_engine(stop));
  BUILDER_TRY_ASSIGN(auto source, folder_source(wanted.folder.string()));
  const ports::JobContext job{.deployment_id = wanted.build.request.deployment_id, .stop = stop};
  BUILDER_TRY_ASSIGN(
      auto result,
      build::run_local_build(parts->ports(), step_settings(parts->config, parts->work).buildpacks,
                             wanted.build, std::move(source), job, events));
  if (wanted.file != nullptr) {
    BUILDER_TRY(wanted.file->keep());
    result.size = wanted.file->size();
  }
  return Built{.result = std::move(result), .became = became(wanted, *parts, typed)};
}

BuildSummary failed(const Error& error, bool interrupted) {
  BuildSummary summary;
  if (interrupted) {
    summary.end = BuildEnd::aborted;
    summary.result = "Stopped";
    return summary;
  }
  summary.end = BuildEnd::failed;
  const bool is_own = error.customer.empty();
  summary.result = is_own ? error.message : error.customer;
  if (!error.last_words.empty()) {
    summary.result += ": " + error.last_words;
  }
  if (!is_own && error.kind != ErrorKind::build_failed && error.kind != ErrorKind::invalid_input) {
    summary.details.push_back(error.message);
  }
  return summary;
}

BuildSummary succeeded(const Wanted& wanted, Built built) {
  BuildSummary summary;
  summary.result = std::move(built.became);
  summary.image = wanted.image.str();
  summary.digest = std::move(built.result.digest);
  summary.size = built.result.size;
  summary.context_bytes = built.result.context_bytes_sent;
  return summary;
}

Exit build(const Typed& typed) {
  const auto started = std::chrono::steady_clock::now();
  const Interrupt interrupt;
  auto wanted = understood(typed);
  if (!wanted) {
    complain(wanted.error().message);
    return Exit::usage;
  }
  const auto engine = choose_engine(variable);
  if (!engine) {
    complain(engine.error().message);
    return Exit::failed;
  }
  const LoadedConfig loaded = settings_of(*engine);
  if (const auto errors = loaded.errors_of({Concern::build}); !errors.empty()) {
    print_errors(errors);
    return Exit::usage;
  }
  const auto view = view_of(typed, wanted->folder.string());
  if (!view) {
    complain(view.error().message);
    return Exit::usage;
  }
  RedactedEvents events(**view, std::make_shared<Redactor>(secrets_of(loaded.config, *wanted)));
  const auto level = variable("LOG_LEVEL") ? loaded.config.log_level : LogLevel::warning;
  const Log log(std::make_shared<EventsLog>(events, level));
  events.info(engine->reason);
  auto built = run(typed, *wanted, loaded.config, interrupt.token(), events, log);
  BuildSummary summary = built ? succeeded(*wanted, *std::move(built))
                               : failed(built.error(), interrupt.token().stop_requested());
  const BuildEnd end = summary.end;
  summary.total = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - started);
  events.finish(std::move(summary));
  return end == BuildEnd::succeeded ? Exit::ok
         : end == BuildEnd::aborted ? Exit::aborted
                                    : Exit::failed;
}

}  // namespace

void add_build(CommandLine& line) {
  const auto typed = std::make_shared<Typed>();
  CLI::App& verb = line.verb(
      nullptr, "build", "Build the image of a folder as the platform would, on this machine",
      "  deployra-builder build                            the folder we are in, into Docker\n"
      "  deployra-builder build -t shop/web:1.2 web/       another folder, and a name\n"
      "  deployra-builder build --env-file .env --target test\n"
      "  deployra-builder build --output type=oci,dest=image.tar\n"
      "  deployra-builder build --push registry.example.com/shop/web:1.2",
      [typed] { return build(*typed); });
  verb.add_option("SOURCE", typed->source, "The folder to build; default: the one we are in")
      ->type_name("DIR");
  verb.add_option("-t,--tag", typed->tag, "Name of the image; default: the folder's")
      ->type_name("NAME[:TAG]");
  verb.add_option("-f,--file", typed->dockerfile, "The Dockerfile; default: Dockerfile")
      ->type_name("PATH");
  verb.add_option("--target", typed->target, "Build this stage of the Dockerfile")
      ->type_name("STAGE");
  verb.add_option("--platform", typed->platform, "For other machines than linux/amd64")
      ->type_name("OS/ARCH");
  verb.add_option("--build-arg", typed->arguments, "A value for ARG; repeatable")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  verb.add_option("--env", typed->environment,
                  "A variable of the service: it is written to .env, as the platform does; "
                  "repeatable")
      ->type_name("NAME[=VALUE]")
      ->allow_extra_args(false);
  verb.add_option("--env-file", typed->environment_files, "A file of such variables; repeatable")
      ->type_name("PATH")
      ->allow_extra_args(false);
  verb.add_flag("--no-cache", typed->no_cache, "Run every step");
  verb.add_option("-o,--output", typed->output, "Write the image to a file, or - for stdout")
      ->type_name("type=oci|docker|tar,dest=PATH");
  verb.add_option("--push", typed->push, "Push the image to a registry under this name")
      ->type_name("REF");
  verb.add_option("--progress", typed->progress, "How it is shown")
      ->check(CLI::IsMember(std::set<std::string>(k_progress.begin(), k_progress.end())))
      ->type_name("HOW");
  verb.add_flag("-q,--quiet", typed->quiet, "Print the digest or ID of the image, and no more");
}

}  // namespace builder::app::cli
