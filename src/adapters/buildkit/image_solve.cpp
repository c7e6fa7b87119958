#include "adapters/buildkit/image_builder.hpp"
#include "base/iso_time.hpp"

namespace builder::adapters::buildkit {

namespace {

/// What the frontend is told of the options of a build.
std::map<std::string, std::string> frontend_attributes(const ports::ImageSpec& image) {
  const ports::BuildOptions& options = image.options;
  std::map<std::string, std::string> attributes;
  for (const auto* arguments : {&image.variables.arguments, &options.arguments}) {
    for (const auto& [name, value] : *arguments) {
      attributes["build-arg:" + name] = value;
    }
  }
  if (!options.target.empty()) {
    attributes["target"] = options.target;
  }
  if (!options.platform.empty()) {
    attributes["platform"] = options.platform;
  }
  if (options.no_cache) {
    attributes["no-cache"] = "";  // Of every stage.
  }
  return attributes;
}

/// Of the commit's time, so that each build of it gives the same image.
Result<std::map<std::string, std::string>> labels_of(const std::string& source,
                                                     const Result<ports::SourceCommit>& commit) {
  if (!commit) {
    return std::unexpected(commit.error());
  }
  std::map<std::string, std::string> labels{{"org.opencontainers.image.source", source}};
  if (!commit->id.empty()) {
    labels.emplace("org.opencontainers.image.revision", commit->id);
    labels.emplace("org.opencontainers.image.created", iso_time(commit->time));
  }
  return labels;
}

/// Whose images are not this build's to read: see `SolveSpec::repository`.
std::optional<ports::Repository> others_beside(const ports::ImageSpec& image) {
  return image.may_read_registry ? std::nullopt : std::optional(image.repository);
}

}  // namespace

SolveSpec solve_of(const ports::ImageSpec& image, ImageEpoch epoch) {
  SolveSpec spec{.service_id = image.service_id,
                 .context = image.context,
                 .dockerfile = image.dockerfile,
                 .frontend = frontend_attributes(image),
                 .exporter_attributes = {{"name", names_of(image)}},
                 .cache_namespace = image.cache_namespace,
                 .is_customers = true,
                 .repository = others_beside(image),
                 .variables = image.variables,
                 .pins = image.options.pins,
                 .dockerfile_tree = image.dockerfile_tree};
  if (!image.options.labelled_source.empty()) {
    spec.labels = [source = image.options.labelled_source, commit = image.commit] {
      return labels_of(source, commit());
    };
  }
  if (epoch != ImageEpoch::off) {
    spec.epoch = [commit = image.commit]() -> Result<std::chrono::sys_seconds> {
      BUILDER_TRY_ASSIGN(const ports::SourceCommit made_from, commit());
      return made_from.time;
    };
  }
  if (epoch == ImageEpoch::layers) {
    spec.exporter_attributes["rewrite-timestamp"] = "true";
  }
  return spec;
}

}  // namespace builder::adapters::buildkit
