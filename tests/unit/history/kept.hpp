#pragma once

#include "adapters/history/database.hpp"
#include "adapters/history/history.hpp"
#include "base/temp_dir.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace builder::adapters::history {

using namespace std::chrono_literals;

inline constexpr Keep k_much{.age = std::chrono::hours(24), .bytes = 1024 * 1024 * 1024};

inline ports::RunStart start_of(const std::string& deployment, const std::string& service = "s1") {
  return {.deployment = domain::DeploymentId(deployment),
          .service = domain::ServiceId(service),
          .attempt = 2,
          .repository = "https://git.example/shop.git",
          .branch = "main",
          .dockerfile = "Dockerfile",
          .variables = {"A", "B"},
          .settings = {{"CNB_BUILDER", "x/builder:1"}, {"IMAGE_EPOCH", "off"}},
          .port = 8080,
          .engine = "docker",
          .version = "2.0.0"};
}

inline ports::RunEnd end_of(const std::string& outcome) {
  return {.outcome = outcome,
          .category = "customer",
          .reason = "npm_missing_script",
          .line = "it failed",
          .advice = "do this",
          .commit = std::string(40, 'a'),
          .image = "registry.example/s1",
          .digest = "sha256:" + std::string(64, 'b'),
          .context_bytes = 123,
          .pushed_bytes = 456};
}

/// Until it holds; a machine may be slow.
template <class Condition>
bool eventually(Condition&& condition) {
  const auto until = std::chrono::steady_clock::now() + 60s;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= until) {
      return false;
    }
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

/// A folder for a history, and a look into it.
class Folder {
 public:
  [[nodiscard]] std::string path() const { return folder_.path() + "/history"; }

  [[nodiscard]] std::string file() const { return path() + "/history.db"; }

  [[nodiscard]] std::unique_ptr<ports::HistoryReader> reader() const {
    auto reader = open_history(path());
    EXPECT_TRUE(reader) << reader.error().message;
    return reader ? *std::move(reader) : nullptr;
  }

  [[nodiscard]] std::vector<ports::KeptRun> list(const ports::RunFilter& filter = {}) const {
    auto runs = reader()->list(filter);
    EXPECT_TRUE(runs) << runs.error().message;
    return runs ? *std::move(runs) : std::vector<ports::KeptRun>();
  }

  /// What is there by now, while nobody knows whether anything is.
  [[nodiscard]] std::vector<ports::KeptRun> seen() const {
    const auto reader = open_history(path());
    const auto runs = reader ? (*reader)->list({.most = 1000}) : failure(ErrorKind::not_found, "");
    return runs ? *runs : std::vector<ports::KeptRun>();
  }

  /// The ids of the deployments.
  [[nodiscard]] std::vector<std::string> names(const ports::RunFilter& filter = {}) const {
    std::vector<std::string> names;
    for (const ports::KeptRun& run : list(filter)) {
      names.push_back(run.start.deployment.str());
    }
    return names;
  }

  [[nodiscard]] ports::KeptRunDetails find(const std::string& deployment) const {
    auto found = reader()->find(domain::DeploymentId(deployment));
    EXPECT_TRUE(found && found->size() == 1);
    return found && !found->empty() ? found->front() : ports::KeptRunDetails();
  }

  [[nodiscard]] std::vector<std::string> lines(const std::string& deployment,
                                               std::uint64_t from = 0,
                                               std::size_t most = 1'000'000) const {
    std::vector<std::string> lines;
    auto rows = reader()->log(find(deployment).run.id, from, most);
    EXPECT_TRUE(rows) << rows.error().message;
    for (const ports::KeptRow& row : rows ? *rows : std::vector<ports::KeptRow>()) {
      lines.push_back(row.line);
    }
    return lines;
  }

  /// As somebody else who writes into the file.
  void execute(const std::string& sql) const {
    auto database = Database::open(file(), Database::Mode::write, 10s);
    ASSERT_TRUE(database) << database.error().message;
    const auto done = database->execute(sql);
    EXPECT_TRUE(done) << done.error().message;
  }

 private:
  TempDir folder_ = *TempDir::make(::testing::TempDir(), "builder-");
};

}  // namespace builder::adapters::history
