#pragma once

#include "base/secret.hpp"
#include "domain/deployment_request.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain {

/// How the variables of a service reach its build.
struct DeliveryRules {
  bool file = true;      ///< As `.env` in the source.
  bool secret = true;    ///< As secrets of BuildKit: `RUN --mount=type=secret,id=NAME`.
  bool argument = true;  ///< As the value of an `ARG NAME` that the Dockerfile declares.
};

struct DeliveredVariables {
  std::map<std::string, Secret> secrets;         ///< By their id.
  std::map<std::string, std::string> arguments;  ///< By the name of the ARG.
  /// Names that would be arguments if their values did not look secret: an ARG can be read in the
  /// image's history.
  std::vector<std::string> withheld;
  /// The service's alone, and never told an engine: a changed secret is told from the old one by
  /// it.
  Secret key = {};
};

/// Whether the name is one of those to which BuildKit itself gives a meaning: `BUILDKIT_…`,
/// proxies, platforms, SOURCE_DATE_EPOCH.
bool is_reserved_argument(std::string_view name);

/// Whether a value of that name may be given to a build: a name to a shell, and not reserved.
bool is_argument_name(std::string_view name);

/// What the build of a Dockerfile is offered. Of equal names the last one counts. `listed` are
/// names that may be the values of ARGs though they look secret.
///
/// No argument: what `is_argument_name` denies, empty values, which would take a default away, and,
/// unless they are listed, those that every program of a step reads (PATH, HOME, LD_…). No secret:
/// names that cannot stand in an id, and values that are too large for BuildKit.
DeliveredVariables deliver(const std::vector<EnvironmentVariable>& variables,
                           const DeliveryRules& rules, const std::set<std::string>& listed = {},
                           const Secret& key = {});

/// Whether bundlers write a variable of this name into what every browser gets.
bool is_for_browsers(std::string_view name);

}  // namespace builder::domain
