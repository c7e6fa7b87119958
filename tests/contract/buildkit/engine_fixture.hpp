#pragma once

#include "adapters/buildkit/client/solver.hpp"
#include "fakes/memory_tree.hpp"
#include "fakes/recording_events.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {

/// Logins by host, as an operator may have named them.
class FixedLogins final : public ports::RegistryLogins {
 public:
  Result<ports::SharedLogin> login(const ports::JobContext&, const std::string& host) override {
    const auto found = logins.find(host);
    return found == logins.end() ? nullptr : found->second;
  }

  void renew(const std::string&, const ports::SharedLogin&) override {}

  std::map<std::string, ports::SharedLogin> logins;
};

struct Built {
  std::string config_digest;
  std::uint64_t context_bytes_sent = 0;
};

/// Tests against a real Docker Engine, named by DOCKER_HOST (a unix socket), or with
/// CONTRACT_ENGINE=buildkitd a standalone BuildKit at BUILDKIT_HOST; `FROM busybox` must work
/// there, and steps must run. Without one they are skipped; with CI=true they fail.
class EngineTest : public testing::Test {
 protected:
  using Files = std::vector<std::pair<std::string, std::string>>;

  void SetUp() override;

  [[nodiscard]] std::unique_ptr<Solver> make_solver();
  static std::shared_ptr<fakes::MemoryTree> tree_of(const Files& files);
  [[nodiscard]] SolveSpec spec(std::shared_ptr<const ports::SourceTree> tree) const;

  Result<Built> build(const Files& files) { return build(spec(tree_of(files))); }

  Result<Built> build(const SolveSpec& image) { return build(*solver, job(), image, events); }

  static Result<Built> build(Solver& with, const ports::JobContext& job, const SolveSpec& image,
                             domain::EventSink& events);
  [[nodiscard]] ports::JobContext job(std::chrono::seconds limit = std::chrono::seconds(120)) const;
  /// All output of a `RUN cat`-like step, busting the step's cache with a fresh number.
  static std::string fresh();

  bool standalone = false;  ///< A buildkitd, not an Engine.
  std::string engine;
  std::unique_ptr<http::Client> http = http::make_client();
  std::unique_ptr<docker::Engine> docker;
  std::chrono::seconds return_limit{30};
  FixedLogins logins;
  std::unique_ptr<Solver> solver;
  fakes::RecordingEvents events;
  std::stop_source stop;
  int attempt = 1;  ///< Of the jobs.
};

/// Descriptors and threads of this process.
struct Usage {
  std::size_t descriptors = 0;
  std::size_t threads = 0;
  static Usage now();
};

/// Waits until `condition` holds; false after `limit`.
bool eventually(const std::function<bool()>& condition,
                std::chrono::milliseconds limit = std::chrono::seconds(5));

/// True when some process on this machine has `text` in its command line.
bool process_exists(const std::string& text);

}  // namespace builder::adapters::buildkit
