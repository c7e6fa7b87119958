#include "app/compose/build_parts.hpp"
#include "app/doctor/checks.hpp"
#include "app/health/engine_watch.hpp"
#include "app/host/host_watch.hpp"
#include "base/fd.hpp"
#include "base/size.hpp"
#include "ports/metrics.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::app {

namespace {

/// A look builds nothing: no registry asks who we are.
class NoLogins final : public ports::RegistryLogins {
 public:
  Result<ports::SharedLogin> login(const ports::JobContext& /*job*/,
                                   const std::string& /*host*/) override {
    return nullptr;
  }

  void renew(const std::string& /*host*/, const ports::SharedLogin& /*refused*/) override {}
};

std::string content_of(const std::string& path) {
  const std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

/// The process that listens at a unix socket; nullopt when the kernel does not say.
std::optional<int> listener_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return std::nullopt;
  }
  std::ranges::copy(path, std::begin(address.sun_path));
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool is_known =
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
      ::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0;
  return is_known ? std::optional(static_cast<int>(peer.pid)) : std::nullopt;
}

/// BuildKit clips a step's output by its own environment, which only its process shows.
void look_at_step_log(const Config& config, Report& report) {
  constexpr const char* k_what = "step log";
  const auto& address = engine_address(config);
  const auto pid = address.is_socket() ? listener_of(address.socket) : std::nullopt;
  const std::string folder = pid ? fmt::format("/proc/{}/", *pid) : std::string();
  const std::string name = pid ? content_of(folder + "comm") : std::string();
  const std::string environment = pid ? content_of(folder + "environ") : std::string();
  if (environment.empty() || (name != "dockerd\n" && name != "buildkitd\n")) {
    report.not_tried(k_what,
                     "only the engine's own process shows whether it clips the output of a step "
                     "(BUILDKIT_STEP_LOG_MAX_SIZE)");
    return;
  }
  const bool is_lifted = environment.contains("BUILDKIT_STEP_LOG_MAX_SIZE=") &&
                         environment.contains("BUILDKIT_STEP_LOG_MAX_SPEED=");
  if (is_lifted) {
    report.ok(k_what, "the engine was told how much output a step may have");
  } else {
    report.warning(
        k_what, "the engine clips the output of a step at 200 KiB/s and 2 MiB",
        {.cure = "start it with BUILDKIT_STEP_LOG_MAX_SIZE and BUILDKIT_STEP_LOG_MAX_SPEED in its "
                 "environment (docs/operations.md, The engine)"});
  }
}

void look_at_cache(const Circumstances& now, adapters::buildkit::Solver& solver, Report& report) {
  const auto size = solver.cache_size({.deployment_id = domain::DeploymentId("-"),
                                       .stop = now.stop,
                                       .deadline = now.deadline - std::chrono::milliseconds(200)});
  if (size) {
    report.ok("cache", fmt::format("{} of builds are kept", format_size(*size)));
  } else {
    report.not_tried("cache", "the engine does not say how large it is: " + size.error().message);
  }
}

/// The worker's own look at the engine, with what it tells the log.
void look_at_versions(const Circumstances& now, BuildParts& engine, HeardLog& heard, const Log& log,
                      Report& report) {
  ports::Metrics metrics;
  HostWatch host({.min_free_disk = now.config.admission.min_free_disk}, now.config.work_dir,
                 metrics, log);
  EngineWatch watch(now.config, engine, host, log);
  if (const auto looked = watch.look(now.stop); !looked) {
    report.failure("server", looked.error(), {});
    return;
  }
  const std::vector<std::string> advisories = watch.advisories();
  for (const std::string& advisory : advisories) {
    const Advice advice{.setting = now.config.strict_versions ? "STRICT_VERSIONS" : "",
                        .cure =
                            "install the version that mends it; no job is taken meanwhile with "
                            "STRICT_VERSIONS=true"};
    now.config.strict_versions ? report.failure("versions", advisory, advice)
                               : report.warning("versions", advisory, advice);
  }
  if (advisories.empty()) {
    report.ok("versions", "none with a known hole in git, engine, BuildKit and runc");
  }
  for (const std::string& line : heard.warnings()) {
    if (std::ranges::find(advisories, line) == advisories.end()) {
      report.warning("settings", line, {});
    }
  }
  // WORK_DIR's disk is the host's affair; this one is seen here alone, and only if it is another.
  std::istringstream refusals(host.refusal());
  for (std::string refusal; std::getline(refusals, refusal, ';');) {
    if (refusal.contains("the disk of the engine")) {
      report.failure("disk", refusal,
                     {.setting = "MIN_FREE_DISK",
                      .cure = "make room: docker builder prune, or a limit for "
                              "the engine's garbage collection"});
    }
  }
}

}  // namespace

void check_engine(const Circumstances& now, Report& report) {
  const auto heard = std::make_shared<HeardLog>();
  const Log log(heard);
  NoLogins logins;
  const auto http = adapters::http::make_client();
  const auto parts = BuildParts::make_engine(now.config, *http, logins, log);
  std::vector<std::string> missing;
  bool all_answer = true;
  for (const BuildEngine& engine : parts->engines) {
    const std::string what = engine.platform.empty() ? "server" : "server for " + engine.platform;
    const auto info = parts->ask(engine, now.stop);
    if (!info) {
      report.failure(what, info.error(), {.cure = "start the engine, or name another one"});
      all_answer = false;
      continue;
    }
    report.ok(what, fmt::format("{} at {}", info->name, engine.address.str()));
    for (std::string& feature : adapters::buildkit::missing_features(*info)) {
      if (std::ranges::find(missing, feature) == missing.end()) {
        missing.push_back(std::move(feature));
      }
    }
  }
  if (!all_answer) {
    return;
  }
  look_at_versions(now, *parts, *heard, log, report);
  if (missing.empty()) {
    report.ok("features", "all that builds may ask for");
  } else {
    report.warning("features", fmt::format("it lacks {}", fmt::join(missing, "; ")),
                   {.cure = "a newer engine has them (docs/operations.md, The engine)"});
  }
  look_at_step_log(now.config, report);
  look_at_cache(now, parts->solver(), report);
}

}  // namespace builder::app
