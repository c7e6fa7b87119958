#include "build/build_plan.hpp"

#include "base/ascii.hpp"
#include "base/iso_time.hpp"
#include "base/text.hpp"
#include "build/filtered_tree.hpp"
#include "domain/buildpacks/builder_image.hpp"
#include "domain/buildpacks/ignore_rules.hpp"
#include "domain/buildpacks/platform_env.hpp"
#include "domain/buildpacks/project_toml.hpp"
#include "domain/customer_line.hpp"
#include "domain/dockerignore.hpp"
#include "domain/dotenv.hpp"
#include "domain/knobs/knob_readers.hpp"
#include "domain/platform_name.hpp"
#include "domain/relative_path.hpp"
#include "domain/source_spec.hpp"
#include "ports/overlay_tree.hpp"
#include "ports/source_path.hpp"
#include "ports/subtree.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace builder::build {

namespace {

namespace buildpacks = domain::buildpacks;
namespace knobs = domain::knobs;
using domain::knobs::BuildKnobs;

constexpr std::size_t k_dockerignore_limit = 1u << 20;
constexpr std::size_t k_dockerfile_limit = 1u << 20;
constexpr std::size_t k_project_toml_limit = 1u << 18;
/// A variable of the service with which its owner has a build ignore what earlier ones left.
constexpr std::string_view k_clear_cache = "CNB_CLEAR_CACHE";
constexpr std::string_view k_default_dockerfile = "Dockerfile";
constexpr std::string_view k_default_ignore_file = ".dockerignore";
constexpr std::string_view k_dotenv = ".env";

std::string shown(std::string_view text) {
  return printable_line(text, 80);
}

/// What a customer chose cannot be used.
std::unexpected<Error> wrong(std::string_view where, std::string_view what) {
  const std::string line = fmt::format("{}: {}", where, what);
  return std::unexpected(Error{
      .kind = ErrorKind::invalid_input, .message = line, .customer = domain::customer_line(line)});
}

/// The ignore file of that name; nullopt when there is none.
Result<std::optional<std::string>> existing_ignore_file(const std::string& name,
                                                        const ports::SourceTree& tree,
                                                        domain::EventSink& events) {
  const auto info = tree.stat(name);
  if (!info) {
    if (info.error().kind == ErrorKind::not_found) {
      return std::nullopt;
    }
    return std::unexpected(info.error());
  }
  auto content = ports::read_file(tree, name, k_dockerignore_limit);
  if (content) {
    return *std::move(content);
  }
  if (content.error().kind == ErrorKind::invalid_input) {
    return std::unexpected(std::move(content).error().for_customer(
        shown(name) + " is not a file of at most 1 MiB; please make it smaller"));
  }
  // What it hides must not be built because nobody could read it.
  if (info->type == ports::FileType::regular) {
    return std::unexpected(
        std::move(content).error().for_customer(shown(name) + " cannot be read"));
  }
  // A link that leads nowhere or out of the repository is as good as none.
  events.warning(shown(name) +
                 " is a link that does not lead to a file in the repository; ignored");
  return std::nullopt;
}

/// Lays the ignore file in force, where the context has none, and says which one it is. As in
/// BuildKit's frontend `<Dockerfile>.dockerignore` goes before the context's `.dockerignore`. Gives
/// its text.
Result<std::string> settle_ignore_file(const std::string& dockerfile,
                                       const ports::SourceTree& source,
                                       const ports::SourceTree& context, const std::string& folder,
                                       std::map<std::string, std::string>& generated,
                                       domain::EventSink& events) {
  std::string name = dockerfile + std::string(k_default_ignore_file);
  BUILDER_TRY_ASSIGN(std::optional<std::string> text, existing_ignore_file(name, source, events));
  if (!text) {
    name = ports::path_in(folder, k_default_ignore_file);
    BUILDER_TRY_ASSIGN(text,
                       existing_ignore_file(std::string(k_default_ignore_file), context, events));
  }
  if (!text) {
    events.info(
        "No .dockerignore in the repository; using the platform's default one, which leaves out "
        "tests, logs, keys and dependencies (a .dockerignore of your own replaces it)");
    return generated[std::string(k_default_ignore_file)] = domain::default_dockerignore();
  }
  events.info("The ignore file in force is " + printable_line(name));
  domain::IgnoreFile file(*text);
  if (const auto& fault = file.fault()) {
    return std::unexpected(
        Error{.kind = ErrorKind::invalid_input,
              .message = name + " holds a line that is no pattern, or one too many",
              .customer = shown(name) + ":" + std::to_string(fault->line.number) + ": \"" +
                          printable_line(fault->line.text, 30) + "\" " + std::string(fault->what)});
  }
  if (const auto* line = file.hides(k_dotenv);
      line != nullptr && generated.contains(std::string(k_dotenv))) {
    events.warning(shown(name) + ":" + std::to_string(line->number) + ": \"" +
                   printable_line(line->text, 40) +
                   "\" keeps .env out of the build: the service's variables do not reach it");
  }
  return *std::move(text);
}

/// nullopt: there is none at that path.
Result<std::optional<std::string>> find_dockerfile(const std::string& path,
                                                   const ports::SourceTree& tree) {
  // Opening follows links that stay inside the tree and refuses all others.
  const auto opened = tree.open(path);
  if (opened) {
    return path;
  }
  const std::string folder(ports::folder_of(path));
  if (opened.error().kind == ErrorKind::not_found &&
      path == ports::path_in(folder, k_default_dockerfile)) {
    // `docker build` falls back to the lower case in the same folder.
    std::string small = ports::path_in(folder, lower_case(k_default_dockerfile));
    if (const auto other = tree.open(small)) {
      return small;
    }
  }
  if (const auto inside = ports::path_in(path, k_default_dockerfile);
      opened.error().kind == ErrorKind::invalid_input && tree.open(inside)) {
    return std::unexpected(Error(opened.error())
                               .for_customer("'" + shown(path) +
                                             "' is a folder; set the Dockerfile path to " +
                                             shown(inside)));
  }
  switch (opened.error().kind) {
    case ErrorKind::not_found:
      return std::nullopt;
    case ErrorKind::denied: {
      const auto info = tree.stat(path);
      const bool is_file = info && info->type == ports::FileType::regular;
      return std::unexpected(
          Error(opened.error())
              .for_customer("'" + shown(path) +
                            (is_file ? "' cannot be read"
                                     : "' is a link out of the repository; commit the file")));
    }
    default:
      return std::unexpected(Error(opened.error())
                                 .for_customer("'" + shown(path) +
                                               "' is not a regular file; the "
                                               "Dockerfile path must name a file"));
  }
}

/// DockerFile, Dockerfile.txt, Containerfile, prod.Dockerfile: meant as one by a person, taken by
/// no tool without being told.
bool looks_like_dockerfile(std::string_view name) {
  const std::string text = lower_case(name);
  if (text.ends_with(k_default_ignore_file)) {
    return false;
  }
  for (const std::string_view word : {"dockerfile", "containerfile"}) {
    if (text == word || text.ends_with("." + std::string(word)) ||
        (text.starts_with(word) && std::string_view("._-").contains(text[word.size()]))) {
      return true;
    }
  }
  return false;
}

/// Files below `folder` that look like Dockerfiles, those that lie higher first. Bounded: a person
/// reads at most a few.
std::vector<std::string> likely_dockerfiles(const ports::SourceTree& tree, std::string_view folder,
                                            std::size_t depth) {
  constexpr std::size_t k_shown = 3;
  constexpr std::size_t k_folders = 2'000;
  std::vector<std::string> found;
  std::vector<std::string> folders{std::string(folder)};
  std::size_t visited = 0;
  for (std::size_t level = 0; level <= depth && found.size() < k_shown; ++level) {
    std::vector<std::string> next;
    for (const std::string& at : folders) {
      const auto entries = tree.list(at);
      if (!entries || ++visited > k_folders) {
        continue;
      }
      for (const ports::DirectoryEntry& entry : *entries) {
        if (entry.info.type == ports::FileType::directory) {
          if (!entry.name.starts_with('.') && entry.name != "node_modules" &&
              entry.name != "vendor") {
            next.push_back(ports::path_in(at, entry.name));
          }
        } else if (looks_like_dockerfile(entry.name)) {
          found.push_back(ports::path_in(at, entry.name));
        }
      }
    }
    folders = std::move(next);
  }
  found.resize(std::min(found.size(), k_shown));
  return found;
}

/// Says where the Dockerfile may be that was not found.
void name_likely_dockerfiles(const ports::SourceTree& tree, std::string_view wanted,
                             domain::EventSink& events) {
  constexpr std::size_t k_depth = 4;
  std::vector<std::string> found = likely_dockerfiles(tree, ports::folder_of(wanted), 0);
  if (found.empty()) {
    found = likely_dockerfiles(tree, "", k_depth);
  }
  if (found.empty()) {
    return;
  }
  std::string names;
  for (const std::string& name : found) {
    names += (names.empty() ? "" : ", ") + shown(name);
  }
  events.warning("No Dockerfile is at '" + shown(wanted) + "', but the repository has " + names +
                 ": to build from it, set it as the Dockerfile path of the service");
}

std::map<std::string, std::string> dotenv_of(const domain::DeploymentRequest& request,
                                             domain::EventSink& events) {
  const auto variables = knobs::passed_on(request.environment);
  if (variables.empty()) {
    return {};
  }
  domain::DotenvFile dotenv = domain::write_dotenv(variables);
  for (std::string& warning : dotenv.warnings) {
    events.warning(std::move(warning));
  }
  events.info("Writing " + std::to_string(variables.size()) + " environment variables to .env");
  return {{std::string(k_dotenv), std::move(dotenv.content)}};
}

Result<buildpacks::ProjectDescriptor> project_of(const ports::SourceTree& tree) {
  auto content = ports::read_file(tree, "project.toml", k_project_toml_limit);
  if (content) {
    return buildpacks::read_project_toml(*content);
  }
  if (content.error().kind == ErrorKind::not_found) {
    return buildpacks::ProjectDescriptor{};
  }
  return std::unexpected(std::move(content).error().for_customer(
      "project.toml is not a file of at most 256 KiB in the repository; please correct or remove "
      "it"));
}

Result<std::string> choose_builder(const std::string& wanted, const BuildKnobs& said,
                                   const BuildpacksRules& rules, domain::EventSink& events) {
  if (said.builder_image) {
    const auto& [image, where] = *said.builder_image;
    if (buildpacks::is_listed(image, {rules.builder})) {
      return rules.builder;
    }
    if (!buildpacks::is_listed(image, rules.allowed_builders)) {
      return wrong(where,
                   fmt::format("the builder '{}' is not allowed on this platform; remove it, "
                               "or ask the operator to allow it",
                               printable_line(image, 60)));
    }
    return image;
  }
  if (wanted.empty() || buildpacks::is_listed(wanted, {rules.builder})) {
    return rules.builder;
  }
  if (buildpacks::is_listed(wanted, rules.allowed_builders)) {
    return wanted;
  }
  events.warning("project.toml asks for the builder '" + printable_line(wanted, 100) +
                 "', which is not allowed here; using " + rules.builder);
  return rules.builder;
}

Result<std::shared_ptr<const ports::SourceTree>> selected(
    std::shared_ptr<const ports::SourceTree> tree, const buildpacks::ProjectDescriptor& project) {
  domain::MatchingBudget budget;
  if (buildpacks::IgnoreRules include(project.include); !include.empty()) {
    return make_filtered_tree(std::move(tree), include, Matched::kept, budget);
  }
  if (buildpacks::IgnoreRules exclude(project.exclude); !exclude.empty()) {
    return make_filtered_tree(std::move(tree), exclude, Matched::left_out, budget);
  }
  return tree;
}

/// As people type paths: with blanks around them, from the root, or with Windows' separators. The
/// original joined the path to the folder of the source, where a leading '/' says nothing.
std::string plain_path(std::string_view requested) {
  std::string path(trimmed(requested));
  std::ranges::replace(path, '\\', '/');
  path.erase(0, path.find_first_not_of('/'));
  return path;
}

bool pins_bases(const BuildKnobs& said, const StepSettings& settings) {
  return (said.base_images ? said.base_images->value : settings.base_images) ==
         domain::BaseImages::pinned;
}

Result<BuildPlan> plan_buildpacks(const domain::DeploymentRequest& request,
                                  const StepSettings& settings, const BuildKnobs& said,
                                  std::shared_ptr<const ports::SourceTree> tree,
                                  domain::EventSink& events) {
  const BuildpacksRules& rules = settings.buildpacks;
  if (said.target || !said.args.empty()) {
    events.warning("target and args are for Dockerfiles; buildpacks are not told of them");
  }
  BUILDER_TRY_ASSIGN(buildpacks::ProjectDescriptor project, project_of(*tree));
  for (std::string& warning : project.warnings) {
    events.warning(std::move(warning));
  }
  std::vector<domain::EnvironmentVariable> own;
  if (rules.user_environment) {
    own = knobs::passed_on(request.environment);
  }
  for (domain::EnvironmentVariable& variable : knobs::resolved(said.env, request.environment)) {
    own.push_back(std::move(variable));
  }
  auto merged = buildpacks::merge_environment(
      buildpacks::default_environment(request.ports, rules.node_version), project.environment, own);
  for (std::string& warning : merged.warnings) {
    events.warning(std::move(warning));
  }
  merged.variables.erase(std::string(k_clear_cache));
  BUILDER_TRY_ASSIGN(auto app, selected(std::move(tree), project));
  const bool clear_cache =
      std::ranges::any_of(request.environment, [](const domain::EnvironmentVariable& variable) {
        return variable.key == k_clear_cache && (variable.value == "true" || variable.value == "1");
      });
  if (clear_cache) {
    events.info("CNB_CLEAR_CACHE is set: nothing of earlier builds is used");
  }
  BUILDER_TRY_ASSIGN(std::string builder, choose_builder(project.builder, said, rules, events));
  if (buildpacks::is_archived_builder(builder)) {
    events.warning("Builder " + builder +
                   " is archived and gets no updates; the operator can change CNB_BUILDER to "
                   "paketobuildpacks/builder-jammy-base");
  }
  return BuildpacksPlan{.app = std::move(app),
                        .environment = std::move(merged.variables),
                        .builder = std::move(builder),
                        .platform = said.platform ? said.platform->value : settings.platforms,
                        .may_leave_out = !said.platform,
                        .clear_cache = clear_cache || (said.no_cache && said.no_cache->value),
                        .pins_bases = pins_bases(said, settings)};
}

/// The path of the Dockerfile inside the source, wherever that is: without blanks around it, a
/// leading '/', and backslashes. `invalid_input` with the customer's line when it leaves the
/// repository.
Result<std::string> dockerfile_path(const domain::DeploymentRequest& request,
                                    const BuildKnobs& said) {
  if (said.dockerfile) {
    return said.dockerfile->value;
  }
  const std::string requested = plain_path(request.runtime_file_path);
  if (requested.empty()) {
    return ports::path_in(said.context ? said.context->value : std::string(), k_default_dockerfile);
  }
  auto cleaned = domain::clean_relative_path(requested);
  if (!cleaned) {
    return std::unexpected(std::move(cleaned).error().for_customer(
        "The Dockerfile path leaves the repository; use a path relative to its root"));
  }
  return cleaned;
}

DockerfileTarget target_of(std::string dockerfile, const domain::DeploymentRequest& request,
                           const BuildKnobs& said, const StepSettings& settings) {
  DockerfileTarget target{.dockerfile = std::move(dockerfile),
                          .options = {.arguments = knobs::given_values(said.args)},
                          .listed = knobs::listed_names(said.args),
                          .cache_sharing = said.cache_sharing ? said.cache_sharing->value
                                                              : settings.knobs.widest_sharing};
  target.options.target = said.target ? said.target->value : std::string();
  target.options.platform = said.platform ? said.platform->value : settings.platforms;
  target.options.no_cache = said.no_cache && said.no_cache->value;
  target.pins_bases = pins_bases(said, settings);
  if (settings.image_labels) {
    if (const auto source = domain::resolve_source(request, settings.github_url)) {
      target.options.labelled_source = source->url;
    }
  }
  return target;
}

void tell(const BuildKnobs& said, domain::EventSink& events) {
  std::string line;
  for (const knobs::ShownKnob& knob : knobs::shown(said)) {
    line +=
        fmt::format("{}{} = {} ({})", line.empty() ? "" : ", ", knob.name, knob.value, knob.where);
  }
  if (!line.empty()) {
    events.info("Decided for this build: " + truncate_characters(line, 1000));
  }
}

}  // namespace

Result<std::string> dockerfile_text(const DockerfilePlan& plan) {
  return ports::read_file(*plan.dockerfile_tree, plan.target.dockerfile, k_dockerfile_limit);
}

ports::BuildpacksSpec spec_of(BuildpacksPlan plan, const ports::FetchedSource& source,
                              std::string source_url) {
  return {.app = std::move(plan.app),
          .environment = std::move(plan.environment),
          .builder = std::move(plan.builder),
          .platform = std::move(plan.platform),
          .may_leave_out = plan.may_leave_out,
          .clear_cache = plan.clear_cache,
          .source_url = std::move(source_url),
          .commit = source.commit.str(),
          .committed_at = source.committed_at};
}

void ask_for_labels(BuildpacksPlan& plan, const std::string& source_url,
                    const ports::SourceCommit& commit) {
  const auto own = plan.environment.find("BP_IMAGE_LABELS");
  const auto add = [&](const char* variable, std::string_view label, std::string value) {
    if (own == plan.environment.end() || !own->second.contains(label)) {
      plan.environment.emplace(variable, std::move(value));
    }
  };
  add("BP_OCI_SOURCE", "org.opencontainers.image.source", source_url);
  add("BP_OCI_REVISION", "org.opencontainers.image.revision", commit.id);
  add("BP_OCI_CREATED", "org.opencontainers.image.created", iso_time(commit.time));
}

Result<BuildKnobs> read_knobs(const domain::DeploymentRequest& request,
                              const knobs::KnobRules& rules, const ports::SourceTree& source) {
  BUILDER_TRY_ASSIGN(BuildKnobs said, knobs::read_variables(request.environment, rules));
  BUILDER_TRY_ASSIGN(const auto named, knobs::file_named_in(request.environment));
  const std::string path = named ? named->value : std::string(knobs::k_default_file);
  const auto content = ports::read_file(source, path, knobs::k_largest_file);
  if (!content) {
    const bool is_there = content.error().kind != ErrorKind::not_found;
    if (!named && !is_there) {
      return said;
    }
    return wrong(named ? named->where : path,
                 fmt::format("{} is {} in the repository; please correct or remove it",
                             printable_line(path, 80),
                             is_there ? "not a file of at most 64 KiB" : "no file"));
  }
  BUILDER_TRY_ASSIGN(BuildKnobs file, knobs::read_file(path, *content, rules));
  return knobs::merged(std::move(said), std::move(file));
}

domain::DeliveredVariables delivered(const DockerfileTarget& target,
                                     const std::vector<domain::EnvironmentVariable>& variables,
                                     const domain::DeliveryRules& rules, const Secret& key) {
  knobs::Assignments asked_for;
  for (const std::string& name : target.listed) {
    asked_for.emplace(name, knobs::Assignments::mapped_type());
  }
  domain::DeliveredVariables delivered =
      domain::deliver(knobs::passed_on(variables, asked_for), rules, target.listed, key);
  for (const auto& [name, value] : target.options.arguments) {
    delivered.arguments.erase(name);
    std::erase(delivered.withheld, name);
  }
  return delivered;
}

std::optional<DockerfileTarget> early_target(const domain::DeploymentRequest& request,
                                             const BuildKnobs& said, const StepSettings& settings) {
  const auto path = dockerfile_path(request, said);
  if (!path || (said.builder && said.builder->value == knobs::BuilderKind::buildpacks)) {
    return std::nullopt;
  }
  return target_of(*path, request, said, settings);
}

Result<BuildPlan> make_build_plan(const domain::DeploymentRequest& request,
                                  const StepSettings& settings, const BuildKnobs& said,
                                  const std::shared_ptr<const ports::SourceTree>& source,
                                  domain::EventSink& events) {
  for (std::string& line : knobs::misspelt(request.environment)) {
    events.warning(std::move(line));
  }
  tell(said, events);
  const std::string folder = said.context ? said.context->value : std::string();
  std::shared_ptr<const ports::SourceTree> context = source;
  if (!folder.empty()) {
    auto subtree = ports::make_subtree(source, folder);
    if (!subtree) {
      return wrong(said.context->where,
                   fmt::format("'{}' is no folder of the repository (links are not followed)",
                               printable_line(folder, 80)));
    }
    context = *std::move(subtree);
  }
  std::map<std::string, std::string> generated;
  const auto with_generated = [&] {
    return ports::make_overlay_tree(std::move(context), std::move(generated));
  };
  if (said.builder && said.builder->value == knobs::BuilderKind::buildpacks) {
    if (settings.delivery.file) {
      generated = dotenv_of(request, events);
    }
    return plan_buildpacks(request, settings, said, with_generated(), events);
  }
  BUILDER_TRY_ASSIGN(const std::string wanted, dockerfile_path(request, said));
  BUILDER_TRY_ASSIGN(std::optional<std::string> dockerfile, find_dockerfile(wanted, *source));
  if (!dockerfile && !said.dockerfile && !folder.empty()) {
    // The platform's path may count from the folder that is built.
    BUILDER_TRY_ASSIGN(dockerfile, find_dockerfile(ports::path_in(folder, wanted), *source));
  }
  if (const std::string& typed = request.runtime_file_path;
      !said.dockerfile && typed != plain_path(typed)) {
    events.warning("The Dockerfile path '" + shown(typed) + "' is read as " +
                   shown(dockerfile.value_or(wanted)) + ": paths count from the repository's root");
  }
  if (settings.delivery.file) {
    generated = dotenv_of(request, events);
  }
  if (dockerfile) {
    BUILDER_TRY_ASSIGN(std::string ignore_file, settle_ignore_file(*dockerfile, *source, *context,
                                                                   folder, generated, events));
    const auto tree = with_generated();
    return DockerfilePlan{.tree = tree,
                          .dockerfile_tree = folder.empty() ? tree : source,
                          .ignore_file = std::move(ignore_file),
                          .target = target_of(*std::move(dockerfile), request, said, settings)};
  }
  if (said.dockerfile || said.builder) {
    name_likely_dockerfiles(*source, wanted, events);
    return wrong(said.dockerfile ? said.dockerfile->where : said.builder->where,
                 fmt::format("there is no Dockerfile at '{}' in the repository", shown(wanted)));
  }
  if (request.runtime_file_path.empty()) {
    events.info("No Dockerfile in the repository; building with buildpacks");
  } else {
    events.warning("No Dockerfile at '" + printable_line(request.runtime_file_path, 100) +
                   "' in this commit; building with buildpacks");
  }
  name_likely_dockerfiles(*source, wanted, events);
  return plan_buildpacks(request, settings, said, with_generated(), events);
}

}  // namespace builder::build
