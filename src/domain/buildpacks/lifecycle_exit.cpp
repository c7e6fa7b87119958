#include "domain/buildpacks/lifecycle_exit.hpp"

#include "base/text.hpp"
#include "domain/customer_line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace builder::domain::buildpacks {

namespace {

std::string last_error(const BuildTrace& trace) {
  return trace.errors.empty() ? std::string() : trace.errors.back();
}

LifecycleFailure make(ErrorKind kind, int code, const BuildTrace& trace, std::string_view customer,
                      Remedy remedy = Remedy::none) {
  std::string said;
  for (const std::string& line : trace.errors) {
    said += "; " + line;
  }
  return {.error = {.kind = kind,
                    .message = fmt::format("lifecycle exit code {} in {}{}", code,
                                           trace.phase.empty() ? "its start" : trace.phase, said),
                    .customer = customer_line(printable_line(customer))},
          .remedy = remedy,
          .last_word = last_error(trace)};
}

std::string names_of(const std::vector<Buildpack>& buildpacks) {
  std::string names;
  for (const Buildpack& buildpack : buildpacks) {
    names += (names.empty() ? "" : ", ") + buildpack.str();
  }
  return names;
}

/// What earlier builds left is in the way, whatever the exit code.
LifecycleFailure cache_is_broken(int code, const BuildTrace& trace) {
  return make(
      ErrorKind::unavailable, code, trace,
      "What earlier builds left could not be read (no fault of your project); please deploy "
      "again",
      Remedy::without_cache);
}

LifecycleFailure unexpected(int code, const BuildTrace& trace) {
  return make(ErrorKind::internal, code, trace,
              fmt::format("The buildpacks build ended with the unexpected exit code {}; please "
                          "deploy again or contact the operator",
                          code));
}

bool blames_cache(const BuildTrace& trace) {
  return std::ranges::any_of(trace.errors, [](const std::string& error) {
    return error.contains("volume cache") || error.contains("/cnb-cache");
  });
}

}  // namespace

LifecycleFailure explain_exit(int code, const BuildTrace& trace) {
  if ((code == 1 || code == 62) && blames_cache(trace)) {
    return cache_is_broken(code, trace);
  }
  switch (code) {
    case 1:
      if (trace.phase == "BUILDING") {
        return unexpected(code, trace);  // No registry is spoken to there.
      }
      return make(ErrorKind::unavailable, code, trace,
                  "The image registry could not be used (no fault of your project); please deploy "
                  "again in a few minutes",
                  Remedy::registry);
    case 2:
    case 3:
      return make(ErrorKind::internal, code, trace,
                  "The build service and its buildpacks do not fit together (configuration of the "
                  "platform, not of your project); please contact the operator");
    case 11:
      return make(ErrorKind::internal, code, trace,
                  "The buildpacks' lifecycle is too old or too new for the build service; please "
                  "contact the operator",
                  Remedy::other_api);
    case 12:
      return make(ErrorKind::internal, code, trace,
                  "A buildpack does not fit the builder's lifecycle; please contact the operator");
    case 20:
      return make(ErrorKind::build_failed, code, trace,
                  "No buildpack recognises this app: add the file its language is known by "
                  "(package.json, requirements.txt, go.mod, pom.xml, …) at the root, or a "
                  "Dockerfile");
    case 21:
      return make(ErrorKind::build_failed, code, trace,
                  trace.failed_detect.empty()
                      ? "A buildpack failed while looking at this app; see its output above"
                      : fmt::format("Buildpack {} failed while looking at this app; see its output "
                                    "above",
                                    truncate_characters(names_of(trace.failed_detect), 90)));
    case 22:
      return make(ErrorKind::internal, code, trace,
                  "The builder could not decide which buildpacks this app needs; please contact "
                  "the operator");
    case 32:
    case 42:
      return cache_is_broken(code, trace);
    case 51:
    case 52:
      return make(ErrorKind::build_failed, code, trace,
                  trace.building.empty()
                      ? "A buildpack failed to build this app; see its output above"
                      : fmt::format("Buildpack {} failed to build this app; see its output above",
                                    truncate_characters(trace.building, 90)));
    case 62: {
      const std::string said = last_error(trace);
      if (said.contains("process type")) {
        return make(ErrorKind::build_failed, code, trace,
                    fmt::format("The image could not be made: {}", said));
      }
      return make(ErrorKind::unavailable, code, trace,
                  "The image could not be put into the registry (no fault of your project); please "
                  "deploy again in a few minutes",
                  Remedy::registry);
    }
    case 137:
      return make(ErrorKind::build_failed, code, trace,
                  trace.building.empty()
                      ? "The build was killed, most likely because it ran out of memory"
                      : fmt::format("Buildpack {} was killed, most likely because it ran out of "
                                    "memory",
                                    truncate_characters(trace.building, 90)));
    default:
      return unexpected(code, trace);
  }
}

}  // namespace builder::domain::buildpacks
