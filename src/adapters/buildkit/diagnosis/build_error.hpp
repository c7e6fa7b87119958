#pragma once

#include "adapters/buildkit/diagnosis/findings.hpp"
#include "adapters/policy/policy.hpp"
#include "base/result.hpp"
#include "domain/customer_line.hpp"
#include "domain/platform_name.hpp"
#include "ports/source_tree.hpp"

#include <grpcpp/grpcpp.h>

#include <functional>
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
  std::vector<BuildWarning> warnings = {};
  const ports::SourceTree* context = nullptr;  ///< Null: not at hand.
  std::string registry = {};                   ///< The platform's own, which holds all services.
  const policy::Policy* policy = nullptr;      ///< That the engine was told; null: there is none.
  bool registry_is_closed = false;  ///< The engine asked for its login and did not get it.
  /// What was built for; the name of a step goes before it.
  std::string platform = std::string(domain::k_default_platform);
  /// What an image is for, by its name with a tag; empty: it is not known. Null: nobody can be
  /// asked.
  std::function<std::vector<std::string>(const std::string& image)> platforms_of = {};
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

using domain::k_customer_limit;

/// Ends the line of a RUN that was killed, for whoever knows better.
inline constexpr std::string_view k_killed_guess = " (killed; out of memory?)";

/// Reads the daemon's typed error details where there are any (BuildKit >= 0.10 behind Engine >=
/// 23) and the texts and step names of older ones. The same fault of a Dockerfile gets the same
/// sentence from both. What is told as a reason was seen: in the error, in the failing step's
/// output, or in the source.
Explanation explain(const FailedSolve& solve);

/// Whether the image that was built is for other machines than the platform's, as far as the
/// Dockerfile, the frontend's warnings and the image's own `architecture` (empty: not known) tell;
/// nullopt: it is not.
std::optional<Error> wrong_platform(const std::string& dockerfile, std::string_view text,
                                    const std::vector<BuildWarning>& warnings,
                                    std::string_view architecture);

}  // namespace builder::adapters::buildkit
