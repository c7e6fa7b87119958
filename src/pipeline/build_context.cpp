#include "pipeline/build_context.hpp"

#include "domain/dockerignore.hpp"
#include "domain/dotenv.hpp"
#include "pipeline/overlay_tree.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

namespace builder::pipeline {

namespace {

constexpr std::size_t k_dockerignore_limit = 1u << 20;
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

Result<std::string> find_dockerfile(const domain::DeploymentRequest& request,
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
      return std::unexpected(Error(opened.error())
                                 .for_customer("No Dockerfile at '" + shown +
                                               "' in this commit; add one or correct the service's "
                                               "Dockerfile path"));
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

Result<BuildContext> make_build_context(const domain::DeploymentRequest& request,
                                        std::shared_ptr<const ports::SourceTree> source,
                                        domain::EventSink& events) {
  std::map<std::string, std::string> generated;

  if (!request.environment.empty()) {
    domain::DotenvFile dotenv = domain::write_dotenv(request.environment);
    for (std::string& warning : dotenv.warnings) {
      events.warning(std::move(warning));
    }
    events.info("Writing " + std::to_string(dotenv.written) + " environment variables to .env");
    generated[".env"] = std::move(dotenv.content);
  }

  BUILDER_TRY_ASSIGN(const std::optional<std::string> ignore,
                     existing_dockerignore(*source, events));
  if (!ignore) {
    events.info("No .dockerignore in the repository; using the default one");
    generated[".dockerignore"] = domain::default_dockerignore();
  }

  BUILDER_TRY_ASSIGN(std::string dockerfile, find_dockerfile(request, *source));
  return BuildContext{.tree = make_overlay_tree(std::move(source), std::move(generated)),
                      .dockerfile = std::move(dockerfile)};
}

}  // namespace builder::pipeline
