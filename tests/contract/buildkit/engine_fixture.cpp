#include "engine_fixture.hpp"

#include "fakes/processes.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iterator>
#include <thread>

namespace builder::adapters::buildkit {

namespace {

/// Shown only when a test is run by hand with BUILDKIT_TEST_LOG set.
class TestLog final : public LogSink {
 public:
  void write(LogLevel /*level*/, std::string_view line) override {
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
  }

  [[nodiscard]] bool enabled(LogLevel /*level*/) const override {
    return std::getenv("BUILDKIT_TEST_LOG") != nullptr;
  }
};

std::size_t entries_of(const char* folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder),
                                                std::filesystem::directory_iterator()));
}

}  // namespace

void EngineTest::SetUp() {
  const char* kind = std::getenv("CONTRACT_ENGINE");
  standalone = kind != nullptr && std::string_view(kind) == "buildkitd";
  const char* host = std::getenv(standalone ? "BUILDKIT_HOST" : "DOCKER_HOST");
  if (host == nullptr) {
    const char* ci = std::getenv("CI");
    if (ci != nullptr && std::string_view(ci) == "true") {
      FAIL() << "no engine is named";
    }
    GTEST_SKIP()
        << "needs an engine: set DOCKER_HOST, or CONTRACT_ENGINE=buildkitd and BUILDKIT_HOST";
  }
  engine = host;
  solver = make_solver();
}

std::unique_ptr<Solver> EngineTest::make_solver() {
  const docker::EngineAddress address = docker::parse_engine_address(engine).value();
  docker = docker::make_engine(address, *http);
  return buildkit::make_solver(
      {.shared_key_prefix = "buildkit-contract:", .return_limit = return_limit},
      standalone ? make_buildkitd_connector(address, std::nullopt)
                 : make_docker_connector(address, *docker),
      logins, Log(std::make_shared<TestLog>()));
}

std::shared_ptr<fakes::MemoryTree> EngineTest::tree_of(const Files& files) {
  auto tree = std::make_shared<fakes::MemoryTree>();
  for (const auto& [path, content] : files) {
    tree->add_file(path, content);
  }
  return tree;
}

SolveSpec EngineTest::spec(std::shared_ptr<const ports::SourceTree> tree) const {
  const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
  std::string lower;
  for (const char c : name) {
    lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return {.service_id = domain::ServiceId(lower),
          .context = std::move(tree),
          .dockerfile = "Dockerfile",
          .exporter = standalone ? "image" : "moby",
          .exporter_attributes = {{"name", "buildkit-contract/" + lower + ":1"}}};
}

Result<Built> EngineTest::build(Solver& with, const ports::JobContext& job, const SolveSpec& image,
                                domain::EventSink& events) {
  auto solved = with.solve(job, image, events);
  if (!solved) {
    return std::unexpected(std::move(solved).error().error);
  }
  Built built{.config_digest = {}, .context_bytes_sent = solved->context_bytes_sent};
  // Engine 20.10 has only the second, with the same meaning (its exporter makes no manifest).
  for (const char* key : {"containerimage.config.digest", "containerimage.digest"}) {
    if (const auto found = solved->exporter_response.find(key);
        built.config_digest.empty() && found != solved->exporter_response.end()) {
      built.config_digest = found->second;
    }
  }
  return built;
}

ports::JobContext EngineTest::job(std::chrono::seconds limit) const {
  return {.deployment_id = domain::DeploymentId("contract"),
          .stop = stop.get_token(),
          .deadline = std::chrono::steady_clock::now() + limit,
          .log = Log(std::make_shared<TestLog>()),
          .retries = std::make_shared<ports::RetryBudget>(attempt)};
}

std::string EngineTest::fresh() {
  static std::atomic<int> count{0};
  return std::to_string(::getpid()) + "-" +
         std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()) + "-" +
         std::to_string(count++);
}

Usage Usage::now() {
  return {.descriptors = entries_of("/proc/self/fd"), .threads = entries_of("/proc/self/task")};
}

bool eventually(const std::function<bool()>& condition, std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

bool process_exists(const std::string& text) {
  return std::ranges::any_of(fakes::processes(), [&](const fakes::SeenProcess& process) {
    return process.id != std::to_string(::getpid()) && process.command_line.contains(text);
  });
}

}  // namespace builder::adapters::buildkit
