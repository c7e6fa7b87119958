#pragma once

#include "domain/buildpacks/result.hpp"
#include "ports/image_builder.hpp"
#include "ports/image_exporter.hpp"

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
  /// What the image is for, several with commas: it is an index then. Empty: linux/amd64.
  std::string platform = {};
  /// The operator's wish for all services: of several platforms, those that builder or engine
  /// cannot make are left out with a warning.
  bool may_leave_out = false;
  bool clear_cache = false;  ///< Ignore what earlier builds left.
  std::string source_url;    ///< Without credentials; goes into a label.
  std::string commit;        ///< Likewise.
  std::chrono::sys_seconds committed_at;
  Repository repository;
  std::string tag;              ///< The deployment's own.
  Secret cache_namespace = {};  ///< Of the cache of this service's buildpacks.
  ImagePins pins = {};          ///< Of the builder, and of the run image.
  /// The run image is named to the lifecycle by its digest, which `PublishResult::tagged` tells
  /// then. Otherwise the lifecycle finds it.
  bool pins_run_image = false;
};

struct BuildpacksResult {
  std::string platform;   ///< What the image is for, several with commas.
  bool made_here = true;  ///< Not by an earlier attempt, nor a part of it.
  PublishResult published;
  std::vector<domain::buildpacks::Buildpack> buildpacks;  ///< That took part, in order.
  std::vector<std::string> processes;                     ///< The default one first.
  bool has_all_images = false;  ///< `images` are all that the build took something from.
  std::vector<domain::BaseImage> images = {};  ///< Builder and run image, as they were taken.
};

/// Builds one image with buildpacks; the build itself brings it to where it goes.
class BuildpacksBuilder {
 public:
  virtual ~BuildpacksBuilder() = default;
  /// The phases of the build and each buildpack are steps of `events`. What a registry says may be
  /// retried is retried; what earlier builds left and cannot be read is ignored.
  /// Errors as of `ImageBuilder::publish`; `invalid_input` for a builder image that cannot be used.
  virtual Result<BuildpacksResult> publish(const JobContext& job, const BuildpacksSpec& spec,
                                           domain::EventSink& events) = 0;
  /// The same for a Docker Engine in the registry's place. `invalid_input` where there is none.
  virtual Result<ExportedImage> load(const JobContext& job, const BuildpacksSpec& spec,
                                     domain::EventSink& events) = 0;
};

}  // namespace builder::ports
