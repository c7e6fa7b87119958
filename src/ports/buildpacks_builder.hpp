#pragma once

#include "domain/buildpacks/result.hpp"
#include "ports/image_builder.hpp"

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace builder::ports {

/// One image to build with Cloud Native Buildpacks, and where it goes.
struct BuildpacksSpec {
  domain::ServiceId service_id;  ///< Names the context's copy at the engine.
  std::shared_ptr<const SourceTree> app;
  std::map<std::string, std::string> environment;  ///< Read by buildpacks.
  std::string builder;                             ///< Image reference.
  bool clear_cache = false;                        ///< Ignore what earlier builds left.
  std::string source_url;                          ///< Without credentials; goes into a label.
  std::string commit;                              ///< Likewise.
  std::chrono::sys_seconds committed_at;
  Repository repository;
  std::string tag;              ///< The deployment's own.
  Secret cache_namespace = {};  ///< Of the cache of this service's buildpacks.
  ImagePins pins = {};          ///< Of the builder; its run image is what the registry has.
};

struct BuildpacksResult {
  PublishResult published;
  std::vector<domain::buildpacks::Buildpack> buildpacks;  ///< That took part, in order.
  std::vector<std::string> processes;                     ///< The default one first.
};

/// Builds one image with buildpacks; the build itself brings it into the registry.
class BuildpacksBuilder {
 public:
  virtual ~BuildpacksBuilder() = default;
  /// The phases of the build and each buildpack are steps of `events`. What a registry says may be
  /// retried is retried; what earlier builds left and cannot be read is ignored.
  /// Errors as of `ImageBuilder::publish`; `invalid_input` for a builder image that cannot be used.
  virtual Result<BuildpacksResult> publish(const JobContext& job, const BuildpacksSpec& spec,
                                           domain::EventSink& events) = 0;
};

}  // namespace builder::ports
