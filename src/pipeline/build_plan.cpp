#include "pipeline/build_plan.hpp"

#include "base/text.hpp"
#include "domain/buildpacks/builder_image.hpp"
#include "domain/buildpacks/ignore_rules.hpp"
#include "domain/buildpacks/platform_env.hpp"
#include "domain/buildpacks/project_toml.hpp"
#include "domain/dockerignore.hpp"
#include "domain/dotenv.hpp"
#include "pipeline/filtered_tree.hpp"
#include "ports/overlay_tree.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace builder::pipeline {

namespace {

namespace buildpacks = domain::buildpacks;

constexpr std::size_t k_dockerignore_limit = 1u << 20;
constexpr std::size_t k_project_toml_limit = 1u << 18;
/// A variable of the service with which its owner has a build ignore what earlier ones left.
constexpr std::string_view k_clear_cache = "CNB_CLEAR_CACHE";
constexpr std::string_view k_default_dockerfile = "Dockerfile";

Result<std::optional<std::string>> existing_dockerignore(const ports::SourceTree& tree,
                                                         domain::EventSink& events) {
  const auto info = tree.stat(".dockerignore");
  if (!info) {
    if (info.error().kind == ErrorKind::not_found) {
      return std::nullopt;
    }
    return std::unexpected(info.error());
  }
  auto content = ports::read_file(tree, ".dockerignore", k_dockerignore_limit);
  if (content) {
    return *std::move(content);
  }
  if (content.error().kind == ErrorKind::invalid_input) {
    return std::unexpected(std::move(content).error().for_customer(
        ".dockerignore is not a file of at most 1 MiB; please make it smaller"));
  }
  // A link that leads nowhere or out of the repository is as good as none.
  events.warning(".dockerignore is a link that does not lead to a file in the repository; ignored");
  return std::nullopt;
}

/// nullopt: there is none at that path.
Result<std::optional<std::string>> find_dockerfile(const domain::DeploymentRequest& request,
                                                   const ports::SourceTree& tree) {
  BUILDER_TRY_ASSIGN(std::string path, dockerfile_path(request));
  // Opening follows links that stay inside the tree and refuses all others.
  const auto opened = tree.open(path);
  if (opened) {
    return path;
  }
  const std::string shown = path.substr(0, 80);
  switch (opened.error().kind) {
    case ErrorKind::not_found:
      return std::nullopt;
    case ErrorKind::denied:
      return std::unexpected(
          Error(opened.error())
              .for_customer("'" + shown + "' is a link out of the repository; commit the file"));
    default:
      return std::unexpected(Error(opened.error())
                                 .for_customer("'" + shown +
                                               "' is not a regular file; the "
                                               "Dockerfile path must name a file"));
  }
}

std::map<std::string, std::string> dotenv_of(const domain::DeploymentRequest& request,
                                             domain::EventSink& events) {
  if (request.environment.empty()) {
    return {};
  }
  domain::DotenvFile dotenv = domain::write_dotenv(request.environment);
  for (std::string& warning : dotenv.warnings) {
    events.warning(std::move(warning));
  }
  events.info("Writing " + std::to_string(request.environment.size()) +
              " environment variables to .env");
  return {{".env", std::move(dotenv.content)}};
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

std::string choose_builder(const std::string& wanted, const BuildpacksRules& rules,
                           domain::EventSink& events) {
  if (wanted.empty() || buildpacks::is_listed(wanted, {rules.builder})) {
    return rules.builder;
  }
  if (buildpacks::is_listed(wanted, rules.allowed_builders)) {
    return wanted;
  }
  events.warning("project.toml asks for the builder '" + one_line(wanted.substr(0, 100)) +
                 "', which is not allowed here; using " + rules.builder);
  return rules.builder;
}

Result<std::shared_ptr<const ports::SourceTree>> selected(
    std::shared_ptr<const ports::SourceTree> tree, const buildpacks::ProjectDescriptor& project) {
  const buildpacks::IgnoreRules include(project.include);
  const buildpacks::IgnoreRules exclude(project.exclude);
  if (include.empty() && exclude.empty()) {
    return tree;
  }
  return make_filtered_tree(std::move(tree), [&](std::string_view path) {
    return include.empty() ? !exclude.matches(path, false) : include.matches(path, false);
  });
}

Result<BuildPlan> plan_buildpacks(const domain::DeploymentRequest& request,
                                  const BuildpacksRules& rules,
                                  std::shared_ptr<const ports::SourceTree> tree,
                                  domain::EventSink& events) {
  BUILDER_TRY_ASSIGN(buildpacks::ProjectDescriptor project, project_of(*tree));
  for (std::string& warning : project.warnings) {
    events.warning(std::move(warning));
  }
  const std::vector<domain::EnvironmentVariable> none;
  auto merged = buildpacks::merge_environment(
      buildpacks::default_environment(request.ports, rules.node_version), project.environment,
      rules.user_environment ? request.environment : none);
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
  std::string builder = choose_builder(project.builder, rules, events);
  if (buildpacks::is_archived_builder(builder)) {
    events.warning("Builder " + builder +
                   " is archived and gets no updates; the operator can change CNB_BUILDER to "
                   "paketobuildpacks/builder-jammy-base");
  }
  return BuildpacksPlan{.app = std::move(app),
                        .environment = std::move(merged.variables),
                        .builder = std::move(builder),
                        .clear_cache = clear_cache};
}

}  // namespace

Result<std::string> clean_relative_path(std::string_view path) {
  if (path.starts_with('/')) {
    return failure(ErrorKind::invalid_input, "path is absolute");
  }
  if (std::ranges::any_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20; })) {
    return failure(ErrorKind::invalid_input, "path holds control characters");
  }
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part == "..") {
      if (parts.empty()) {
        return failure(ErrorKind::invalid_input, "path leaves the tree");
      }
      parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
  }
  if (parts.empty()) {
    return failure(ErrorKind::invalid_input, "path names no file");
  }
  std::string cleaned;
  for (const std::string_view part : parts) {
    cleaned += cleaned.empty() ? "" : "/";
    cleaned += part;
  }
  return cleaned;
}

Result<std::string> dockerfile_path(const domain::DeploymentRequest& request) {
  const std::string& requested = request.runtime_file_path;
  auto cleaned =
      clean_relative_path(requested.empty() ? k_default_dockerfile : std::string_view(requested));
  if (!cleaned) {
    return std::unexpected(std::move(cleaned).error().for_customer(
        "The Dockerfile path leaves the repository; use a path relative to its root"));
  }
  return cleaned;
}

Result<BuildPlan> make_build_plan(const domain::DeploymentRequest& request,
                                  const BuildpacksRules& rules,
                                  std::shared_ptr<const ports::SourceTree> source,
                                  domain::EventSink& events) {
  BUILDER_TRY_ASSIGN(std::optional<std::string> dockerfile, find_dockerfile(request, *source));
  std::map<std::string, std::string> generated = dotenv_of(request, events);
  if (dockerfile) {
    BUILDER_TRY_ASSIGN(const std::optional<std::string> ignore,
                       existing_dockerignore(*source, events));
    if (!ignore) {
      events.info("No .dockerignore in the repository; using the default one");
      generated[".dockerignore"] = domain::default_dockerignore();
    }
    return DockerfilePlan{.tree = ports::make_overlay_tree(std::move(source), std::move(generated)),
                          .dockerfile = *std::move(dockerfile)};
  }
  if (request.runtime_file_path.empty()) {
    events.info("No Dockerfile in the repository; building with buildpacks");
  } else {
    events.warning("No Dockerfile at '" + one_line(request.runtime_file_path.substr(0, 100)) +
                   "' in this commit; building with buildpacks");
  }
  return plan_buildpacks(request, rules,
                         ports::make_overlay_tree(std::move(source), std::move(generated)), events);
}

}  // namespace builder::pipeline
