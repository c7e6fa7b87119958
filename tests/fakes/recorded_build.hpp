#pragma once

#include "app/cli/view/summary.hpp"
#include "domain/build_event.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace builder::fakes {

struct TimedEvent {
  std::chrono::milliseconds at{0};
  domain::BuildEvent event;
};

/// A build of two stages beside each other as an engine tells it: a pull, cached steps, output with
/// colours and a progress bar, warnings, an export.
inline std::vector<TimedEvent> recorded_build() {
  using namespace std::chrono_literals;
  using domain::Activity;
  using domain::LogType;
  using domain::Message;
  using domain::StepFinished;
  using domain::StepOutput;
  using domain::StepStarted;
  using domain::Transfer;
  std::vector<TimedEvent> all{
      {0ms, Message{LogType::info, "Building image from Dockerfile"}},
      {40ms, StepStarted{1, "[internal] load build definition from Dockerfile"}},
      {90ms, StepFinished{1, "[internal] load build definition from Dockerfile", false, "", 50ms}},
      {95ms, Message{LogType::warning,
                     "Dockerfile:14: JSONArgsRecommended: JSON arguments recommended for CMD to "
                     "prevent unintended behavior related to OS signals"}},
      {100ms, StepStarted{2, "[web 1/4] FROM docker.io/library/node:22-slim"}},
      {110ms, StepStarted{3, "[internal] load build context"}},
      {300ms, Activity{.transfer = Transfer{3, "transferring context:", 1'830'000, 0, true}}},
      {310ms, StepFinished{3, "[internal] load build context", false, "", 200ms}},
      {320ms, StepStarted{4, "[api 2/4] WORKDIR /srv"}},
      {330ms, StepFinished{4, "[api 2/4] WORKDIR /srv", true, "", 0ms}},
      {340ms, StepStarted{5, "[api 3/4] COPY requirements.txt ./"}},
      {350ms, StepFinished{5, "[api 3/4] COPY requirements.txt ./", true, "", 0ms}},
      {400ms, StepStarted{6, "[api 4/4] RUN pip install -r requirements.txt"}},
  };
  for (int tick = 1; tick <= 20; ++tick) {
    const auto sent = static_cast<std::uint64_t>(tick);
    all.push_back({400ms + tick * 200ms,
                   Activity{.transfer = Transfer{2, "sha256:3b1d2cc8a6a1f0e2", sent * 1'450'000,
                                                 29'000'000, tick == 20}}});
    all.push_back({401ms + tick * 200ms,
                   Activity{.transfer = Transfer{2, "sha256:9f0d7a6c55e1b0aa", sent * 2'100'000,
                                                 48'000'000, false}}});
    all.push_back({402ms + tick * 200ms,
                   StepOutput{6, false,
                              "\x1b[32mCollecting\x1b[0m package-" + std::to_string(tick) + "==1." +
                                  std::to_string(tick) + ".0\n"}});
  }
  all.push_back({4600ms, StepFinished{2, "[web 1/4] FROM docker.io/library/node:22-slim", false, "",
                                      4500ms}});
  all.push_back({4610ms, StepStarted{7, "[web 2/4] WORKDIR /app"}});
  all.push_back({4680ms, StepFinished{7, "[web 2/4] WORKDIR /app", false, "", 70ms}});
  all.push_back({4700ms, StepStarted{8, "[web 3/4] COPY . ."}});
  all.push_back({4900ms, StepFinished{8, "[web 3/4] COPY . .", false, "", 200ms}});
  all.push_back({4910ms, StepStarted{9,
                                     "[web 4/4] RUN npm ci && npm run build -- --mode production "
                                     "--base=/assets/ --outDir=dist"}});
  for (int percent = 0; percent <= 100; percent += 4) {
    const auto at = 5000ms + percent * 30ms;
    all.push_back(
        {at, StepOutput{9, true,
                        "\r\x1b[K[" + std::string(static_cast<std::size_t>(percent / 5), '#') +
                            std::string(20U - static_cast<std::size_t>(percent / 5), '.') +
                            "] reify " + std::to_string(percent) + " %"}});
    if (percent % 20 == 0) {
      all.push_back({at + 5ms, StepOutput{6, false,
                                          "\tBuilding wheel for 数据-" + std::to_string(percent) +
                                              " (pyproject.toml)\n"}});
    }
  }
  all.push_back({8090ms, StepOutput{9, true, "\r\x1b[K"}});
  all.push_back(
      {8100ms, StepOutput{9, false, "\nadded 412 packages in 3s\n\n> build\n> vite build\n"}});
  all.push_back(
      {8200ms, Message{LogType::warning, "A process of this build was killed: /usr/bin/cc1plus"}});
  all.push_back({8300ms, StepFinished{6, "[api 4/4] RUN pip install -r requirements.txt", false, "",
                                      7900ms}});
  return all;
}

/// How the recorded build goes on when all is well.
inline std::vector<TimedEvent> recorded_success() {
  using namespace std::chrono_literals;
  using domain::Activity;
  using domain::LogType;
  using domain::Transfer;
  std::vector<TimedEvent> all = recorded_build();
  const std::string name =
      "[web 4/4] RUN npm ci && npm run build -- --mode production --base=/assets/ --outDir=dist";
  all.push_back({9200ms, domain::StepOutput{9, false, "dist/index.html 0.46 kB\n"}});
  all.push_back({9500ms, domain::StepFinished{9, name, false, "", 4590ms}});
  all.push_back({9510ms, domain::StepStarted{10, "exporting to image"}});
  all.push_back({9600ms, Activity{.transfer = Transfer{10, "exporting layers", 0, 0, false}}});
  all.push_back({10'900ms, Activity{.transfer = Transfer{10, "exporting layers", 0, 0, true}}});
  all.push_back({11'000ms, domain::Message{LogType::info, "Pushing image"}});
  all.push_back({11'500ms, Activity{.line = "Pushing: 12 of 77 MB (16 %), 24 MB/s"}});
  all.push_back({13'000ms, domain::StepFinished{10, "exporting to image", false, "", 3490ms}});
  return all;
}

/// How it goes on when the last step fails.
inline std::vector<TimedEvent> recorded_failure() {
  using namespace std::chrono_literals;
  using domain::LogType;
  using domain::Message;
  std::vector<TimedEvent> all = recorded_build();
  const std::string name =
      "[web 4/4] RUN npm ci && npm run build -- --mode production --base=/assets/ --outDir=dist";
  all.push_back({9000ms, domain::StepOutput{9, true,
                                            "src/main.ts:12:5: \x1b[31merror\x1b[0m TS2304: Cannot "
                                            "find name 'windw'.\n"}});
  all.push_back({9100ms, domain::StepFinished{9, name, false, "exit code: 2", 4190ms}});
  all.push_back({9110ms, Message{LogType::error, "Step 9 failed: " + name}});
  for (const char* row :
       {"   9 | WORKDIR /app", "  10 | COPY . .",
        "> 11 | RUN npm ci && npm run build -- --mode production \\",
        "> 12 |     --base=/assets/ --outDir=dist", "  13 |", "  14 | CMD node server"}) {
    all.push_back({9111ms, Message{LogType::error, row}});
  }
  return all;
}

/// The summary of a stream that ended so.
inline app::cli::BuildSummary recorded_summary(const std::vector<TimedEvent>& events,
                                               app::cli::BuildEnd end) {
  app::cli::BuildSummary summary{.end = end, .total = events.back().at};
  for (const TimedEvent& timed : events) {
    if (const auto* step = std::get_if<domain::StepFinished>(&timed.event)) {
      summary.steps.push_back({.step = step->step,
                               .name = step->name,
                               .duration = step->duration,
                               .cached = step->cached,
                               .error = step->error});
    }
  }
  if (end == app::cli::BuildEnd::succeeded) {
    summary.result = "loaded into the Docker Engine at unix:///var/run/docker.sock";
    summary.images = {"shop:latest"};
    summary.digest = "sha256:5b7d1e0c3c5f0c1e5d5a8e5a4f2f7bb1c6e2a9b8d7c6f5e4d3c2b1a091827364";
    summary.size = 214'300'000;
    summary.context_bytes = 1'830'000;
  } else if (end == app::cli::BuildEnd::failed) {
    summary.result =
        "Dockerfile:11: \"RUN npm ci && npm run build -- --mode production\" ended with exit code "
        "2";
  } else {
    summary.result = "Ctrl+C";
  }
  return summary;
}

}  // namespace builder::fakes
