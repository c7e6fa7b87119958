#pragma once

#include "adapters/buildkit/progress.hpp"
#include "base/result.hpp"

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::buildkit {

/// What is known when Solve has failed.
struct FailedSolve {
  grpc::Status status;
  std::vector<FailedStep> steps;  ///< Steps with an error, in the order in which they ended.
  std::string dockerfile;         ///< Its path in the context.
  std::optional<std::string> dockerfile_text;  ///< Absent: not readable.
};

struct Explanation {
  Error error;
  /// Lines for the build log beside the error: the place in the Dockerfile, the step.
  std::vector<std::string> excerpt;
  /// The engine went away; the same build may succeed on a new connection.
  bool engine_lost = false;
  std::optional<int> exit_code = {};  ///< Of the RUN that failed.
  /// The image was built, a registry did not take it: what was said about it.
  std::string push_error = {};
};

/// The longest line the platform keeps as a deployment's failure message.
inline constexpr std::size_t k_customer_limit = 191;

/// Ends the line of a RUN that was killed, for whoever knows better.
inline constexpr std::string_view k_killed_guess = " (killed; out of memory?)";

/// Reads the daemon's typed error details where there are any (BuildKit >= 0.10 behind Engine >=
/// 23) and the texts and step names of older ones.
Explanation explain(const FailedSolve& solve);

}  // namespace builder::adapters::buildkit
