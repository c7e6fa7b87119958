#pragma once

#include "base/result.hpp"
#include "build/step_contract.hpp"
#include "domain/build_event.hpp"
#include "domain/deployment_request.hpp"
#include "domain/knobs/build_knobs.hpp"
#include "ports/buildpacks_builder.hpp"
#include "ports/image_builder.hpp"
#include "ports/source_fetcher.hpp"
#include "ports/source_tree.hpp"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

namespace builder::build {

/// What an engine is told of a Dockerfile's build, apart from the source. It can be known before
/// the source is: see `early_target`.
struct DockerfileTarget {
  std::string dockerfile;  ///< Path inside the tree that has it.
  ports::BuildOptions options;
  std::set<std::string> listed;  ///< As of `domain::deliver`.
  domain::CacheSharing cache_sharing{};
  bool pins_bases = false;  ///< It takes the base images that the service's last builds took.

  bool operator==(const DockerfileTarget&) const = default;
};

/// The image is built from a Dockerfile.
struct DockerfilePlan {
  std::shared_ptr<const ports::SourceTree>
      tree;  ///< The context, with the generated files over it.
  /// Has the Dockerfile: `tree`, or where that is only a folder of it, the source.
  std::shared_ptr<const ports::SourceTree> dockerfile_tree;
  std::string ignore_file;  ///< Text of the one in force.
  DockerfileTarget target;
};

/// The text of its Dockerfile. `invalid_input` when it is no file of a readable size.
Result<std::string> dockerfile_text(const DockerfilePlan& plan);

/// The image is built with buildpacks.
struct BuildpacksPlan {
  std::shared_ptr<const ports::SourceTree> app;    ///< What goes into the image.
  std::map<std::string, std::string> environment;  ///< Of the build.
  std::string builder;
  std::string platform;        ///< Several with commas; empty: linux/amd64.
  bool may_leave_out = false;  ///< As of `BuildpacksSpec`: the operator wants it of all services.
  bool clear_cache = false;
  bool pins_bases = false;  ///< As of `DockerfileTarget`.
};

/// What the plan asks of buildpacks. Where the image goes, its caches and pins are the caller's.
ports::BuildpacksSpec spec_of(BuildpacksPlan plan, const ports::FetchedSource& source,
                              std::string source_url);

/// Has buildpacks label the image with what it is made from, where the builder has the one that
/// does (Paketo's image-labels); what the app's own variables say goes before.
void ask_for_labels(BuildpacksPlan& plan, const std::string& source_url,
                    const ports::SourceCommit& commit);

using BuildPlan = std::variant<DockerfilePlan, BuildpacksPlan>;

/// What the customer decides: the service's variables, and what is not said there by the
/// `deployra.toml` at the root of `source`, or the file that a variable names. `invalid_input` with
/// the customer's line where one of them cannot be used; see `domain/knobs/knob_readers`.
Result<domain::knobs::BuildKnobs> read_knobs(const domain::DeploymentRequest& request,
                                             const domain::knobs::KnobRules& rules,
                                             const ports::SourceTree& source);

/// Decides how the image is built (contract: "Build semantics to keep"): from the Dockerfile that
/// the knobs or the job name, or `Dockerfile`, or `dockerfile` where that is absent; with
/// buildpacks when there is none, which is said, as are files that look like one, or when the knobs
/// say so.
/// `.env` (the job's variables) is laid over the context, if the settings say so; for a Dockerfile
/// a `.dockerignore` as well, for buildpacks what project.toml says is applied.
///
/// `invalid_input` with the customer's line when the Dockerfile is no regular file or its path
/// leaves the repository, when a knob names what is not there, or when project.toml cannot be used.
Result<BuildPlan> make_build_plan(const domain::DeploymentRequest& request,
                                  const StepSettings& settings,
                                  const domain::knobs::BuildKnobs& knobs,
                                  const std::shared_ptr<const ports::SourceTree>& source,
                                  domain::EventSink& events);

/// What the service's variables are to such a build, apart from the values that the customer gave
/// to arguments.
domain::DeliveredVariables delivered(const DockerfileTarget& target,
                                     const std::vector<domain::EnvironmentVariable>& variables,
                                     const domain::DeliveryRules& rules, const Secret& key);

/// What a plan with these knobs will most likely have as its target, before the source is there;
/// nullopt: none, or there will be an error.
std::optional<DockerfileTarget> early_target(const domain::DeploymentRequest& request,
                                             const domain::knobs::BuildKnobs& knobs,
                                             const StepSettings& settings);

}  // namespace builder::build
