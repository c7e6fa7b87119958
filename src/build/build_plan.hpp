#pragma once

#include "base/result.hpp"
#include "build/step_contract.hpp"
#include "domain/build_event.hpp"
#include "domain/deployment_request.hpp"
#include "ports/source_tree.hpp"

#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace builder::build {

/// The image is built from a Dockerfile.
struct DockerfilePlan {
  std::shared_ptr<const ports::SourceTree> tree;  ///< The source with the generated files over it.
  std::string dockerfile;                         ///< Path inside the tree.
  std::string ignore_file;                        ///< Text of the one in force.
};

/// The image is built with buildpacks.
struct BuildpacksPlan {
  std::shared_ptr<const ports::SourceTree> app;    ///< What goes into the image.
  std::map<std::string, std::string> environment;  ///< Of the build.
  std::string builder;
  bool clear_cache = false;
};

using BuildPlan = std::variant<DockerfilePlan, BuildpacksPlan>;

/// Decides how the image is built (contract: "Build semantics to keep"): from the Dockerfile the
/// job names, or `Dockerfile`, or `dockerfile` where that is absent; with buildpacks when there is
/// none, which is said, as are files that look like one. `.env` (the job's
/// variables) is laid over the source, if `delivery` says so; for a Dockerfile a `.dockerignore` as
/// well, for buildpacks what project.toml says is applied.
///
/// `invalid_input` with the customer's line when the Dockerfile is no regular file or its path
/// leaves the repository, or when project.toml cannot be used.
Result<BuildPlan> make_build_plan(const domain::DeploymentRequest& request,
                                  const BuildpacksRules& rules,
                                  std::shared_ptr<const ports::SourceTree> source,
                                  domain::EventSink& events, const domain::DeliveryRules& delivery);

/// The path of the request's Dockerfile inside the tree, wherever that is: without blanks around
/// it, a leading '/', and backslashes. `invalid_input` with the customer's line when it leaves the
/// repository.
Result<std::string> dockerfile_path(const domain::DeploymentRequest& request);

}  // namespace builder::build
