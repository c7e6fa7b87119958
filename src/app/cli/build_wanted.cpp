#include "app/cli/build_wanted.hpp"

#include "adapters/oci/reference.hpp"
#include "app/config/dotenv_file.hpp"
#include "base/ascii.hpp"
#include "base/text.hpp"
#include "domain/dockerignore.hpp"
#include "domain/platform_name.hpp"
#include "domain/relative_path.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string_view>
#include <system_error>
#include <utility>

namespace builder::app::cli {

namespace {

namespace fs = std::filesystem;

std::unexpected<Error> wrong(std::string message) {
  return failure(ErrorKind::invalid_input, std::move(message));
}

/// `NAME=VALUE`; `NAME` alone stands for what it is here, as `docker build` reads it.
Result<std::pair<std::string, std::string>> assignment(std::string_view option,
                                                       const std::string& text,
                                                       const EnvironmentLookup& environment) {
  const auto equals = text.find('=');
  std::string name = text.substr(0, equals);
  if (name.empty()) {
    return wrong(fmt::format("{}: the name before '=' is missing", option));
  }
  if (equals != std::string::npos) {
    return std::pair(std::move(name), text.substr(equals + 1));
  }
  auto value = environment(name);
  if (!value) {
    return wrong(
        fmt::format("{} {}: {} is not set here; write {}=VALUE", option, text, name, name));
  }
  return std::pair(std::move(name), *std::move(value));
}

Result<std::vector<domain::EnvironmentVariable>> environment_of(
    const BuildLine& line, const EnvironmentLookup& environment) {
  std::vector<domain::EnvironmentVariable> variables;
  for (const std::string& path : line.environment_files) {
    errno = 0;
    std::ifstream file(path, std::ios::binary);
    const int number = errno;
    std::error_code error;
    if (!file.is_open() || fs::is_directory(path, error)) {
      return wrong(fmt::format("--env-file {}: cannot be read: {}", path,
                               std::generic_category().message(number == 0 ? EISDIR : number)));
    }
    std::ostringstream text;
    text << file.rdbuf();
    std::vector<std::string> problems;
    for (auto& [name, value] : parse_dotenv(text.str(), path, problems)) {
      variables.push_back({.key = name, .value = std::move(value)});
    }
    if (!problems.empty()) {
      // Of a file of settings such a line is only warned of.
      const std::string& problem = problems.front();
      return wrong("--env-file " + problem.substr(0, problem.find(';')));
    }
  }
  for (const std::string& text : line.environment) {
    BUILDER_TRY_ASSIGN(auto named, assignment("--env", text, environment));
    variables.push_back({.key = std::move(named.first), .value = std::move(named.second)});
  }
  return variables;
}

/// Several, with commas between them; empty: the default one. What several make is an index, which
/// an engine does not load, and an archive of docker's or of files does not hold.
Result<> check_platforms(const BuildLine& line) {
  if (line.platform.empty()) {
    return {};
  }
  if (const std::string fault = domain::platform_list_fault(line.platform); !fault.empty()) {
    return wrong(fmt::format("--platform {}: {}", line.platform, fault));
  }
  if (!line.platform.contains(',') || !line.push.empty()) {
    return {};
  }
  if (!line.output.empty()) {
    BUILDER_TRY_ASSIGN(const OutputSpec output, parse_output(line.output));
    if (output.type == OutputType::oci) {
      return {};
    }
  }
  return wrong(
      "--platform: an image for several platforms goes to a registry (--push REF) or into an OCI "
      "archive (--output type=oci,dest=image.tar); for anything else name one platform");
}

/// How the build is shown.
Result<std::string> progress_of(const BuildLine& line) {
  const auto one_of = [](const std::string& left, std::string_view right) {
    return wrong(
        fmt::format("{} and {} contradict each other: leave one of them away", left, right));
  };
  const std::string progress = "--progress=" + line.progress;
  const bool is_chosen = line.progress != "auto";
  if (line.quiet && line.json) {
    return one_of("--quiet", "--json");
  }
  if (line.quiet && is_chosen && line.progress != "quiet") {
    return one_of("--quiet", progress);
  }
  if (line.json && is_chosen && line.progress != "json") {
    return one_of("--json", progress);
  }
  return line.quiet ? "quiet" : line.json ? "json" : line.progress;
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

/// `NAME[:TAG]`, checked.
Result<ports::ImageName> read_name(std::string_view option, const std::string& text) {
  const auto reference = adapters::oci::parse_reference(text);
  if (!reference || !reference->digest.empty()) {
    return wrong(
        fmt::format("{} {}: is no name of an image, which is like shop/web:1.2 or "
                    "registry.example.com/shop/web:1.2: small letters, digits, and . _ - / "
                    "between them",
                    option, text));
  }
  const std::string tag = ":" + reference->tag;
  return ports::ImageName{
      .repository = {text.ends_with(tag) ? text.substr(0, text.size() - tag.size()) : text},
      .tag = reference->tag};
}

Result<> set_names(build::LocalBuild& build, std::string_view option,
                   const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    BUILDER_TRY_ASSIGN(ports::ImageName name, read_name(option, text));
    build.more_names.push_back(std::move(name));
  }
  build.repository = build.more_names.front().repository;
  build.tag = build.more_names.front().tag;
  build.more_names.erase(build.more_names.begin());
  return {};
}

/// The Dockerfile's path below the folder. It counts from the folder, or from where we are.
Result<std::string> dockerfile_in(const fs::path& folder, const std::string& typed) {
  std::error_code error;
  if (typed.empty() || (!fs::path(typed).is_absolute() && fs::exists(folder / typed, error))) {
    return typed;
  }
  const fs::path file = fs::weakly_canonical(typed, error);
  const fs::path inside = file.lexically_relative(folder);
  const bool is_there = !error && fs::exists(file, error);
  if (!is_there || inside.empty() || *inside.begin() == "..") {
    return is_there ? wrong(fmt::format("--file {}: lies outside {}", typed, folder.string()))
                    : wrong(fmt::format("--file {}: there is no such file", typed));
  }
  return inside.string();
}

/// What an engine knows these files by: another folder or repository, user or machine has another.
domain::ServiceId identity_of(const std::string& source) {
  std::ifstream file("/etc/machine-id");
  std::string machine;
  std::getline(file, machine);
  return domain::ServiceId(
      "local-" + sha256_hex(fmt::format("{}\n{}\n{}", machine, ::getuid(), source)).substr(0, 24));
}

/// Where it comes from, and what the image is called unless somebody says.
Result<std::string> set_source(const BuildLine& line, BuildWanted& wanted) {
  domain::DeploymentRequest& request = wanted.build.request;
  std::error_code error;
  const fs::path folder = fs::canonical(line.source, error);
  const bool is_there = !error;
  // As `docker build` reads it, unless there is such a folder.
  const bool is_github = !is_there && line.source.starts_with("github.com/");
  if (is_github || is_git_address(line.source)) {
    BUILDER_TRY_ASSIGN(GitAddress address,
                       parse_git_address((is_github ? "https://" : "") + line.source));
    request.service_id = identity_of(
        fmt::format("{}/{}:{}", address.provider.url, address.repository, address.folder));
    request.git_provider = address.provider;
    request.repository_name = address.repository;
    request.branch = address.branch;
    request.commit_sha = address.commit;
    request.runtime_file_path = line.dockerfile;
    std::string name = address.name();
    wanted.source = std::move(address);
    return name;
  }
  if (line.source.empty()) {
    return wrong("SOURCE is empty; a dot means the folder we are in");
  }
  if (is_there && fs::is_regular_file(folder, error)) {
    return wrong(fmt::format("{} is a file: name its folder, and the Dockerfile with --file",
                             printable_line(line.source)));
  }
  if (!is_there || !fs::is_directory(folder, error)) {
    const std::string meant = is_there ? "" : address_meant(line.source);
    return wrong(fmt::format("{}: {}{}", printable_line(line.source),
                             is_there ? "is no folder" : error.message(),
                             meant.empty() ? "" : "; is the repository " + meant + " meant?"));
  }
  request.service_id = identity_of(folder.string());
  BUILDER_TRY_ASSIGN(request.runtime_file_path, dockerfile_in(folder, line.dockerfile));
  wanted.source = folder.string();
  return folder.filename().string();
}

/// The text of a small file; empty where there is none.
std::string text_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

/// Whether the next build of the folder would take what lies at `path` in it.
bool is_built(const fs::path& folder, const std::string& dockerfile, const std::string& path) {
  for (const std::string& name :
       {(dockerfile.empty() ? "Dockerfile" : dockerfile) + ".dockerignore",
        std::string(".dockerignore")}) {
    if (fs::exists(folder / name)) {
      return domain::IgnoreFile(text_of(folder / name)).hides(path) == nullptr;
    }
  }
  return domain::IgnoreFile(domain::default_dockerignore()).hides(path) == nullptr;
}

/// What options decide goes before what the source says.
Result<domain::knobs::BuildKnobs> knobs_of(const BuildLine& line, const std::string& dockerfile,
                                           const EnvironmentLookup& environment) {
  domain::knobs::BuildKnobs knobs;
  const auto set = [](auto& knob, const std::string& value, std::string_view option) {
    if (!value.empty()) {
      knob = {.value = value, .where = std::string(option)};
    }
  };
  set(knobs.target, line.target, "--target");
  set(knobs.platform, line.platform, "--platform");
  set(knobs.builder_image, line.builder, "--builder");
  set(knobs.dockerfile, domain::clean_relative_path(dockerfile).value_or(""), "--file");
  if (line.no_cache) {
    knobs.no_cache = {.value = true, .where = "--no-cache"};
  }
  for (const std::string& text : line.arguments) {
    BUILDER_TRY_ASSIGN(auto named, assignment("--build-arg", text, environment));
    knobs.args.insert_or_assign(std::move(named.first),
                                domain::knobs::Assignments::mapped_type{
                                    .value = std::move(named.second), .where = "--build-arg"});
  }
  return knobs;
}

/// What is written into the folder that is built is part of the next build.
Result<> check_place(const OutputSpec& output, BuildWanted& wanted) {
  const auto* const source = std::get_if<std::string>(&wanted.source);
  if (source == nullptr || output.is_stdout()) {
    return {};
  }
  std::error_code error;
  const fs::path folder(*source);
  fs::path place = fs::weakly_canonical(fs::absolute(output.destination, error), error);
  if (!place.has_filename()) {
    place = place.parent_path();  // Behind the last '/'.
  }
  const fs::path inside = place.lexically_relative(folder);
  const fs::path around = folder.lexically_relative(place);
  const bool holds_source = !around.empty() && *around.begin() != "..";
  if (output.type == OutputType::local && holds_source) {
    return wrong(fmt::format(
        "--output {}: the files of the image would be written among those that are built; name a "
        "folder of its own",
        output.destination));
  }
  if (!error && !holds_source && !inside.empty() && *inside.begin() != ".." &&
      is_built(folder, wanted.build.request.runtime_file_path, inside.string())) {
    wanted.warnings.push_back(fmt::format(
        "{} lies in the folder that is built, and is part of the next build: name it in "
        ".dockerignore, or write it elsewhere",
        printable_line(inside.string())));
  }
  return {};
}

Result<build::LocalTarget> open_target(const BuildLine& line, BuildWanted& wanted) {
  if (!line.push.empty()) {
    return build::ToRegistry{};
  }
  if (line.output.empty()) {
    return build::ToEngine{};
  }
  BUILDER_TRY_ASSIGN(const OutputSpec output, parse_output(line.output));
  BUILDER_TRY(check_place(output, wanted));
  if (!line.explain) {
    BUILDER_TRY_ASSIGN(wanted.output, open_output(output));
  }
  const ports::Archive archive = output.type == OutputType::oci      ? ports::Archive::oci
                                 : output.type == OutputType::docker ? ports::Archive::docker
                                                                     : ports::Archive::files;
  return build::ToArchive{.archive = archive,
                          .sink = wanted.output == nullptr ? nullptr : &wanted.output->sink()};
}

}  // namespace

Result<BuildWanted> understood(const BuildLine& line, const EnvironmentLookup& environment) {
  if (!line.push.empty() && (!line.tags.empty() || !line.output.empty())) {
    return wrong("--push names the image and where it goes: leave --tag and --output away");
  }
  BUILDER_TRY(check_platforms(line));
  BuildWanted wanted;
  BUILDER_TRY_ASSIGN(wanted.progress, progress_of(line));
  BUILDER_TRY_ASSIGN(const std::string name, set_source(line, wanted));
  wanted.build.request.deployment_id = domain::DeploymentId("local");
  BUILDER_TRY_ASSIGN(wanted.build.request.environment, environment_of(line, environment));
  BUILDER_TRY_ASSIGN(wanted.build.knobs,
                     knobs_of(line, wanted.build.request.runtime_file_path, environment));
  if (!line.push.empty()) {
    BUILDER_TRY(set_names(wanted.build, "--push", line.push));
  } else {
    BUILDER_TRY(set_names(wanted.build, "--tag",
                          line.tags.empty() ? std::vector{image_name(name)} : line.tags));
  }
  BUILDER_TRY_ASSIGN(wanted.build.target, open_target(line, wanted));
  return wanted;
}

std::vector<std::string> BuildWanted::images() const {
  std::vector<std::string> names{build.repository.uri + ":" + build.tag};
  for (const ports::ImageName& name : build.more_names) {
    names.push_back(name.str());
  }
  return names;
}

LoadedConfig build_settings(const BuildLine& line, const BuildWanted& wanted,
                            const EngineChoice& engine, const EnvironmentLookup& environment) {
  std::map<std::string, std::string, std::less<>> defaults{
      {"BUILD_MEMORY", "0"}, {"BUILD_PIDS", "0"}, {engine.setting, engine.address}};
  if (!wanted.replay) {
    for (const char* const closed : {"GIT_NETWORK_POLICY", "BUILD_NETWORK_POLICY", "FRONTENDS"}) {
      defaults[closed] = "any";
    }
  }
  if (wanted.git() == nullptr) {
    defaults["IMAGE_EPOCH"] = "off";  // A folder has no commit whose time its image could bear.
  }
  if (!engine.keeper.empty()) {
    defaults["DOCKER_HOST"] = engine.keeper;
  }
  return load_config(
      [defaults = std::move(defaults), environment,
       of_then = wanted.replay ? wanted.replay->settings : NamedValues(),
       builder = line.builder](std::string_view name) -> std::optional<std::string> {
        if (name.starts_with("AWS_") || name == "HOME") {
          return std::nullopt;  // Nor are ~/.aws and its profiles anybody's business here.
        }
        if (!of_then.empty() && is_image_setting(name)) {
          const auto found = std::ranges::find(of_then, name, &NamedValues::value_type::first);
          return found == of_then.end() ? std::nullopt : std::optional(found->second);
        }
        if (name == "CNB_BUILDER" && !builder.empty()) {
          return builder;
        }
        if (auto value = environment(name); value && !value->empty()) {
          return value;
        }
        const auto found = defaults.find(name);
        return found == defaults.end() ? std::nullopt : std::optional(found->second);
      },
      "");
}

}  // namespace builder::app::cli
