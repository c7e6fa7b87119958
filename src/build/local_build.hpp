#pragma once

#include "base/result.hpp"
#include "build/build_plan.hpp"
#include "build/step_contract.hpp"
#include "domain/build_event.hpp"
#include "domain/cache_namespaces.hpp"
#include "domain/deployment_request.hpp"
#include "ports/image_builder.hpp"
#include "ports/image_exporter.hpp"
#include "ports/job_context.hpp"
#include "ports/source_fetcher.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <variant>
#include <vector>

namespace builder::build {

/// The image becomes one of the engine's.
struct ToEngine {};

/// The image goes to a registry.
struct ToRegistry {};

/// The image becomes an archive. `sink` outlives the build.
struct ToArchive {
  ports::Archive archive = ports::Archive::oci;
  ports::ByteSink* sink = nullptr;
};

using LocalTarget = std::variant<ToEngine, ToRegistry, ToArchive>;

/// A build that no platform asked for.
struct LocalBuild {
  /// What a job would say. Its source is not looked at.
  domain::DeploymentRequest request;
  domain::knobs::BuildKnobs
      knobs;                     ///< Said for this build: before the source's and the variables'.
  ports::Repository repository;  ///< With `tag`, the image's name.
  std::string tag;
  std::vector<ports::ImageName> more_names = {};
  LocalTarget target;
  std::string source_url = {};  ///< Without credentials; empty: a folder.
  /// Somebody else wrote the Dockerfile: it reads no images beside the repository that the image
  /// goes to.
  ports::ImagePins pins = {};  ///< Of images that the Dockerfile names, and of the builder.
  bool is_strangers = false;
  domain::CacheNamespaces caches = {};  ///< Empty: the engine's, which everybody shares.
};

struct LocalResult {
  std::string digest;      ///< As of `ports::ExportedImage`.
  std::uint64_t size = 0;  ///< Bytes; 0: not known.
  std::uint64_t context_bytes_sent = 0;
};

/// Whom it talks to.
struct LocalPorts {
  ports::ImageExporter& exporter;
  ports::ImageBuilder& image;
  ports::BuildpacksBuilder& buildpacks;
};

/// What would be built and how, and what was decided for it.
struct LocalPlan {
  BuildPlan plan;
  domain::knobs::BuildKnobs knobs;
};

/// Errors as of `read_knobs` and `make_build_plan`.
Result<LocalPlan> make_local_plan(const StepSettings& settings, const LocalBuild& build,
                                  const std::shared_ptr<const ports::SourceTree>& source,
                                  domain::EventSink& events);

/// From a source to an image, in the steps and the words of a deployment (`BuildSteps`), without
/// what a queue and a platform are there for: nothing is recorded, no tag moves but the one that
/// was asked for, and a commit's files get the times of a first deployment. What cannot be done
/// with the target is said before anything is built. Errors as of the ports; `invalid_input` with
/// the customer's line where the source cannot become what is wanted.
Result<LocalResult> run_local_build(const LocalPorts& ports, const StepSettings& settings,
                                    const LocalBuild& build, const ports::FetchedSource& source,
                                    const ports::JobContext& job, domain::EventSink& events);

}  // namespace builder::build
