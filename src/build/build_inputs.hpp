#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"
#include "build/build_plan.hpp"
#include "ports/image_builder.hpp"

#include <stop_token>
#include <string>

namespace builder::build {

/// Stands for all that the build of a Dockerfile is made of here: the files of its context that no
/// line of the ignore file hides and no pattern of `ignored_paths` matches, the Dockerfile, the
/// options, and what the variables are to it.
/// Two builds with the same inputs and the same base images have nothing to tell them apart but the
/// time. Letters and digits; made with `key`, so that nobody can try out what a variable holds.
///
/// `cancelled` on stop; `invalid_input` when the ignore file costs more than its budget, or the
/// Dockerfile cannot be read.
Result<std::string> inputs_of(const DockerfilePlan& plan, const domain::knobs::BuildKnobs& knobs,
                              const domain::DeliveredVariables& variables, const Secret& key,
                              const std::stop_token& stop);

}  // namespace builder::build
