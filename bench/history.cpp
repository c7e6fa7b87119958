// What the history of builds costs whom: the build that prints, the disk, and whoever lists 10,000
// builds. Takes a minute and 300 MB of TMPDIR.
#include "adapters/history/history.hpp"

#include "base/stop.hpp"
#include "base/temp_dir.hpp"

#include <fmt/format.h>

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace builder;
using adapters::history::open_history;
using Clock = std::chrono::steady_clock;

constexpr int k_builds = 10'000;
constexpr int k_services = 100;
constexpr int k_rows = 300;
constexpr int k_rounds = 21;

double milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

ports::RunStart start_of(int build) {
  return {.deployment = domain::DeploymentId(fmt::format("d{}", build)),
          .service = domain::ServiceId(fmt::format("s{}", build % k_services)),
          .repository = "https://github.com/octo/hello.git",
          .branch = "main",
          .dockerfile = "Dockerfile",
          .variables = {"DATABASE_URL", "PORT", "NODE_ENV"},
          .engine = "unix:///var/run/docker.sock",
          .version = "2.0.0"};
}

/// One in ten failed.
ports::RunEnd end_of(int build) {
  return {.outcome = build % 10 == 0 ? "failed" : "builded",
          .line = "Dockerfile:3: \"RUN npm ci\" failed with exit code 1",
          .commit = std::string(40, 'a'),
          .digest = "sha256:" + std::string(64, 'b')};
}

void run(ports::BuildHistory& history, int build) {
  const auto record = history.begin(start_of(build));
  for (const char* phase : {"fetch", "build", "promote", "report"}) {
    record->phase(phase);
  }
  for (int step = 0; step < 10; ++step) {
    record->step({.name = fmt::format("[{}/10] RUN npm run step-{}", step, step),
                  .duration = std::chrono::milliseconds(1'234),
                  .cached = step % 2 == 0});
  }
  for (int row = 0; row < k_rows; ++row) {
    record->row(domain::LogType::stdout_,
                fmt::format("npm http fetch GET 200 https://registry.npmjs.org/package-{}-{} {}ms",
                            build * 7919 % 10'007, row * 104'729 % 99'991, row));
  }
  record->end(end_of(build));
}

/// The median of several openings and lists, as a command does it.
void list(const std::string& folder, const std::string& what, const ports::RunFilter& filter) {
  std::vector<double> took;
  std::size_t runs = 0;
  for (int round = 0; round < k_rounds; ++round) {
    const auto begin = Clock::now();
    const auto reader = open_history(folder);
    const auto found = reader ? (*reader)->list(filter) : std::unexpected(reader.error());
    took.push_back(milliseconds(Clock::now() - begin));
    runs = found ? found->size() : 0;
  }
  std::ranges::sort(took);
  fmt::print("list, {}: {:.2f} ms ({} runs)\n", what, took[k_rounds / 2], runs);
}

}  // namespace

int main() {
  const TempDir folder = *TempDir::make(std::filesystem::temp_directory_path().string(), "bench-");
  ports::Metrics metrics;
  {
    const auto history = adapters::history::make_history(
        {.folder = folder.path(), .keep = {.age = std::chrono::days(30), .bytes = 1ULL << 32}},
        metrics, Log());
    const auto written = [&folder](std::size_t runs) {
      const auto reader = open_history(folder.path());
      const auto newest = reader ? (*reader)->list({.most = 1}) : std::unexpected(reader.error());
      return newest && !newest->empty() && newest->front().id == static_cast<std::int64_t>(runs) &&
             newest->front().ended;
    };
    const auto begin = Clock::now();
    Clock::duration told{};
    for (int build = 1; build <= k_builds; ++build) {
      const auto began = Clock::now();
      run(*history, build);
      told += Clock::now() - began;
      // What is told faster than it is written would be left out.
      while (build % 50 == 0 && !written(static_cast<std::size_t>(build))) {
        sleep_for(std::chrono::milliseconds(10), {});
      }
    }
    const double all = milliseconds(Clock::now() - begin);
    fmt::print("told: {:.2f} µs a row\n", 1'000 * milliseconds(told) / (k_builds * k_rows));
    fmt::print("written: {} builds with {} rows each in {:.1f} s\n", k_builds, k_rows, all / 1'000);
  }
  struct stat status{};
  ::stat((folder.path() + "/history.db").c_str(), &status);
  fmt::print("file: {:.1f} MB, {:.1f} KB a build\n", static_cast<double>(status.st_size) / 1e6,
             static_cast<double>(status.st_size) / 1e3 / k_builds);
  list(folder.path(), "the newest 20", {});
  list(folder.path(), "20 of a service", {.service = "s7"});
  list(folder.path(), "20 that failed", {.outcome = "failed"});
  list(folder.path(), "20 of a service that failed", {.service = "s70", .outcome = "failed"});
  list(folder.path(), "of a service that is not there", {.service = "none"});
  list(folder.path(), "20 of the last page", {.before = 21});
  list(folder.path(), "all", {.most = k_builds});
}
