#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "adapters/buildkit/progress.hpp"
#include "base/result.hpp"

namespace builder::adapters::buildkit {

/// What is known about a failed solve.
struct SolveFailure {
  std::string message;               ///< The RPC's.
  std::string details;               ///< `grpc-status-details-bin`; empty from old engines.
  std::optional<FailedStep> step;    ///< From the status stream.
  std::string dockerfile_path;
  std::string dockerfile;            ///< Its text; empty when it could not be read.
};

struct ExplainedFailure {
  Error error;
  std::string excerpt;  ///< Lines of the Dockerfile around the failing one; empty when unknown.
};

/// Turns what the engine says into the customer's line (file, line, command, exit code), from typed
/// details where the engine gives them, else from its texts. `unavailable` for what is not the
/// customer's doing and may pass (registry not reachable, engine trouble).
ExplainedFailure explain(const SolveFailure& failure);

/// The line (from 1) where an instruction begins whose text, joined over continuation lines, is
/// `instruction` ("RUN npm test"); 0 when there is none. Exposed for tests.
int find_instruction(std::string_view dockerfile, std::string_view instruction);

}  // namespace builder::adapters::buildkit
