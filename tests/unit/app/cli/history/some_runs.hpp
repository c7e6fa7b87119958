#pragma once

#include "ports/build_history.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace builder::app::cli {

inline const ports::HistoryTime k_now{std::chrono::milliseconds(1'764'437'000'000)};

inline ports::KeptRunDetails some_run(const std::string& deployment, std::chrono::seconds ago) {
  ports::KeptRunDetails details;
  details.run.start = {.deployment = domain::DeploymentId(deployment),
                       .service = domain::ServiceId("shop"),
                       .repository = "https://github.com/octo/shop",
                       .branch = "main",
                       .dockerfile = "Dockerfile",
                       .variables = {"PORT", "TOKEN"},
                       .engine = "docker unix:///var/run/docker.sock",
                       .version = "2.0.0",
                       .worker = "ops-1:42"};
  details.run.started = k_now - ago;
  details.run.ended = details.run.started + std::chrono::seconds(72);
  details.run.end.outcome = "builded";
  details.run.end.commit = "0123456789abcdef0123456789abcdef01234567";
  details.run.end.context_bytes = 12'300;
  details.run.steps = 3;
  details.run.cached = 1;
  details.phases = {{"fetch", std::chrono::milliseconds(1'200)},
                    {"build", std::chrono::milliseconds(70'000)}};
  details.steps = {{.name = "[1/3] FROM docker.io/library/node:22", .cached = true},
                   {.name = "[2/3] RUN npm ci", .duration = std::chrono::milliseconds(61'000)},
                   {.name = "[3/3] COPY . .", .duration = std::chrono::milliseconds(200)}};
  details.bases = {{"docker.io/library/node:22", "sha256:0123"}};
  return details;
}

inline ports::KeptRunDetails failed_run(const std::string& deployment, std::chrono::seconds ago) {
  ports::KeptRunDetails details = some_run(deployment, ago);
  details.run.end.outcome = "failed";
  details.run.end.category = "dependencies";
  details.run.end.reason = "npm-eresolve";
  details.run.end.line = "Dockerfile:2: \"RUN npm ci\" failed with exit code 1";
  details.run.end.advice = "Run npm install and commit package-lock.json";
  details.steps[1].failed = true;
  details.steps.pop_back();
  return details;
}

/// A history in memory, by the rules of the port.
class FakeHistory final : public ports::HistoryReader {
 public:
  explicit FakeHistory(std::vector<ports::KeptRunDetails> runs) : runs_(std::move(runs)) {
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      runs_[i].run.id = static_cast<std::int64_t>(i) + 1;
    }
  }

  Result<std::vector<ports::KeptRun>> list(const ports::RunFilter& filter) override {
    if (broken) {
      return std::unexpected(*broken);
    }
    std::vector<ports::KeptRun> found;
    for (auto each = runs_.rbegin(); each != runs_.rend() && found.size() < filter.most; ++each) {
      const ports::KeptRun& run = each->run;
      if ((filter.service.empty() || filter.service == run.start.service.str()) &&
          (filter.outcome.empty() || filter.outcome == run.end.outcome) &&
          (!filter.since || run.started >= *filter.since) &&
          (!filter.before || run.id < *filter.before)) {
        found.push_back(run);
      }
    }
    return found;
  }

  Result<std::vector<ports::KeptRunDetails>> find(const domain::DeploymentId& deployment) override {
    if (broken) {
      return std::unexpected(*broken);
    }
    std::vector<ports::KeptRunDetails> found;
    std::copy_if(runs_.rbegin(), runs_.rend(), std::back_inserter(found),
                 [&](const auto& each) { return each.run.start.deployment == deployment; });
    return found;
  }

  Result<std::vector<ports::KeptRow>> log(std::int64_t, std::uint64_t, std::size_t) override {
    return std::vector<ports::KeptRow>();
  }

  std::optional<Error> broken;

 private:
  std::vector<ports::KeptRunDetails> runs_;  ///< The oldest first.
};

}  // namespace builder::app::cli
