#pragma once

#include "base/result.hpp"
#include "domain/build_event.hpp"
#include "domain/deployment_request.hpp"
#include "ports/source_tree.hpp"

#include <memory>
#include <string>

namespace builder::pipeline {

/// What the image is built from.
struct BuildContext {
  std::shared_ptr<const ports::SourceTree> tree;  ///< The source with the generated files over it.
  std::string dockerfile;                         ///< Path inside the tree.
};

/// Lays `.env` (the job's variables) and `.dockerignore` over the source and finds the Dockerfile
/// (contract: "Build semantics to keep"). `invalid_input` with the customer's line when the
/// Dockerfile is missing, is no regular file, or its path leaves the repository.
Result<BuildContext> make_build_context(const domain::DeploymentRequest& request,
                                        std::shared_ptr<const ports::SourceTree> source,
                                        domain::EventSink& events);

/// The path of the request's Dockerfile inside the tree, wherever that is; `invalid_input` with the
/// customer's line when it leaves the repository.
Result<std::string> dockerfile_path(const domain::DeploymentRequest& request);

/// A relative path without empty, "." and ".." parts; `invalid_input` when it is absolute, leaves
/// the tree, or holds control characters.
Result<std::string> clean_relative_path(std::string_view path);

}  // namespace builder::pipeline
