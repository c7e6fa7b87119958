#include "unit/app/cli/view/stage.hpp"

#include <gtest/gtest.h>

#include <string>

namespace builder::app::cli {
namespace {

using namespace std::chrono_literals;

std::string text_of(const Stage& stage) {
  std::string text;
  for (const std::string& row : stage.shown.all()) {
    text += row + "\n";
  }
  return text;
}

std::string playing(std::size_t columns, std::size_t rows, std::chrono::milliseconds until) {
  Stage stage(columns, rows);
  stage.play(fakes::recorded_success(), until);
  EXPECT_TRUE(stage.shown.faults().empty());
  EXPECT_TRUE(stage.shown.is_at_rest());
  return text_of(stage);
}

std::string played(std::size_t columns, std::size_t rows, BuildEnd end) {
  Stage stage(columns, rows);
  const auto events =
      end == BuildEnd::failed ? fakes::recorded_failure() : fakes::recorded_success();
  stage.play(events, end == BuildEnd::aborted ? 6s : 60s);
  BuildSummary summary = fakes::recorded_summary(events, end);
  summary.total = end == BuildEnd::aborted ? 6s : summary.total;
  stage.finish(summary);
  EXPECT_TRUE(stage.shown.faults().empty());
  EXPECT_TRUE(stage.shown.is_at_rest());
  EXPECT_EQ(stage.shown.cursor_column(), 0U);
  return text_of(stage);
}

TEST(Screens, OfTwoStepsSideBySide) {
  EXPECT_EQ("\n" + playing(80, 24, 3500ms), R"(
  Building image from Dockerfile
✓ [api 2/4] WORKDIR /srv                                                  cached
✓ [api 3/4] COPY requirements.txt ./                                      cached
▸ [web 1/4] FROM docker.io/library/node:22-slim                               3s
  | 53.2 MB of 77.0 MB (69 %), 15.7 MB/s, 0 of 2 done, sha256:9f0d7a6c55e1
▸ [api 4/4] RUN pip install -r requirements.txt                               3s
  | Collecting package-10==1.10.0
  | Collecting package-11==1.11.0
  | Collecting package-12==1.12.0
  | Collecting package-13==1.13.0
  | Collecting package-14==1.14.0
  | Collecting package-15==1.15.0
3s, 2 running, 2 steps done, 2 cached, 1 warning
)");
}

TEST(Screens, OfOutputProgressAndWideCharacters) {
  EXPECT_EQ("\n" + playing(80, 24, 7000ms), R"(
  Building image from Dockerfile
✓ [api 2/4] WORKDIR /srv                                                  cached
✓ [api 3/4] COPY requirements.txt ./                                      cached
✓ [web 1/4] FROM docker.io/library/node:22-slim                             4.5s
✓ [web 2/4] WORKDIR /app                                                    0.1s
✓ [web 3/4] COPY . .                                                        0.2s
▸ [api 4/4] RUN pip install -r requirements.txt                               6s
  | Collecting package-19==1.19.0
  | Collecting package-20==1.20.0
  |         Building wheel for 数据-0 (pyproject.toml)
  |         Building wheel for 数据-20 (pyproject.toml)
  |         Building wheel for 数据-40 (pyproject.toml)
  |         Building wheel for 数据-60 (pyproject.toml)
▸ [web 4/4] RUN npm ci && npm run build -- --mode production --base=/assets/… 2s
  | [############........] reify 64 %
7s, 2 running, 5 steps done, 2 cached, 1 warning
)");
}

TEST(Screens, OfAPush) {
  EXPECT_EQ("\n" + playing(80, 24, 11800ms), R"(
  Building image from Dockerfile
✓ [api 2/4] WORKDIR /srv                                                  cached
✓ [api 3/4] COPY requirements.txt ./                                      cached
✓ [web 1/4] FROM docker.io/library/node:22-slim                             4.5s
✓ [web 2/4] WORKDIR /app                                                    0.1s
✓ [web 3/4] COPY . .                                                        0.2s
✓ [api 4/4] RUN pip install -r requirements.txt                             7.9s
✓ [web 4/4] RUN npm ci && npm run build -- --mode production --base=/asset… 4.6s
  Pushing image
▸ exporting to image                                                          2s
▸ Pushing: 12 of 77 MB (16 %), 24 MB/s
11s, 1 running, 7 steps done, 2 cached, 2 warnings
)");
}

TEST(Screens, OfANarrowTerminal) {
  EXPECT_EQ("\n" + playing(40, 12, 7000ms), R"(
  Building image from Dockerfile
✓ [api 2/4] WORKDIR /srv          cached
✓ [api 3/4] COPY requirements.tx… cached
✓ [web 1/4] FROM docker.io/library… 4.5s
✓ [web 2/4] WORKDIR /app            0.1s
✓ [web 3/4] COPY . .                0.2s
▸ [api 4/4] RUN pip install -r requi… 6s
  | Collecting package-19==1.19.0
  | Collecting package-20==1.20.0
  |         Building wheel for 数据-0 (…
  |         Building wheel for 数据-20 …
  |         Building wheel for 数据-40 …
  |         Building wheel for 数据-60 …
▸ [web 4/4] RUN npm ci && npm run bu… 2s
  | [############........] reify 64 %
7s, 2 running, 5 steps done, 2 cached
)");
}

TEST(Screens, OfALowTerminal) {
  EXPECT_EQ("\n" + playing(40, 6, 7000ms), R"(
  Building image from Dockerfile
✓ [api 2/4] WORKDIR /srv          cached
✓ [api 3/4] COPY requirements.tx… cached
✓ [web 1/4] FROM docker.io/library… 4.5s
✓ [web 2/4] WORKDIR /app            0.1s
✓ [web 3/4] COPY . .                0.2s
▸ [api 4/4] RUN pip install -r requi… 6s
  |         Building wheel for 数据-60 …
▸ [web 4/4] RUN npm ci && npm run bu… 2s
  | [############........] reify 64 %
7s, 2 running, 5 steps done, 2 cached
)");
}

TEST(Screens, OfASuccess) {
  EXPECT_EQ("\n" + played(80, 24, BuildEnd::succeeded), R"(
  Building image from Dockerfile
✓ [api 2/4] WORKDIR /srv                                                  cached
✓ [api 3/4] COPY requirements.txt ./                                      cached
✓ [web 1/4] FROM docker.io/library/node:22-slim                             4.5s
✓ [web 2/4] WORKDIR /app                                                    0.1s
✓ [web 3/4] COPY . .                                                        0.2s
✓ [api 4/4] RUN pip install -r requirements.txt                             7.9s
✓ [web 4/4] RUN npm ci && npm run build -- --mode production --base=/asset… 4.6s
  Pushing image
✓ exporting to image                                                        3.5s

2 warnings
  Dockerfile:14: JSONArgsRecommended: JSON arguments recommended for CMD to
  prevent unintended behavior related to OS signals
  A process of this build was killed: /usr/bin/cc1plus

Built in 13.0s: loaded into the Docker Engine at unix:///var/run/docker.sock
image    shop:latest
digest   sha256:5b7d1e0c3c5f0c1e5d5a8e5a4f2f7bb1c6e2a9b8d7c6f5e4d3c2b1a091827364
size     214.3 MB
context  1.8 MB
steps    8, 2 of them cached (25 %)
slowest     7.9s  [api 4/4] RUN pip install -r requirements.txt
            4.6s  [web 4/4] RUN npm ci && npm run build -- --mode production --…
            4.5s  [web 1/4] FROM docker.io/library/node:22-slim
)");
}

TEST(Screens, OfAFailure) {
  EXPECT_EQ("\n" + played(80, 24, BuildEnd::failed), R"(
  Building image from Dockerfile
✓ [api 2/4] WORKDIR /srv                                                  cached
✓ [api 3/4] COPY requirements.txt ./                                      cached
✓ [web 1/4] FROM docker.io/library/node:22-slim                             4.5s
✓ [web 2/4] WORKDIR /app                                                    0.1s
✓ [web 3/4] COPY . .                                                        0.2s
✓ [api 4/4] RUN pip install -r requirements.txt                             7.9s
✗ [web 4/4] RUN npm ci && npm run build -- --mode production --base=/asset… 4.2s

Output of [web 4/4] RUN npm ci && npm run build -- --mode production --base=/as…

added 412 packages in 3s

> build
> vite build
src/main.ts:12:5: error TS2304: Cannot find name 'windw'.
exit code: 2

Dockerfile:11
--------------------
   9 |     WORKDIR /app
  10 |     COPY . .
  11 | >>> RUN npm ci && npm run build -- --mode production \
  12 | >>>     --base=/assets/ --outDir=dist
  13 |
  14 |     CMD node server
--------------------

2 warnings
  Dockerfile:14: JSONArgsRecommended: JSON arguments recommended for CMD to
  prevent unintended behavior related to OS signals
  A process of this build was killed: /usr/bin/cc1plus

Failed after 9.1s: Dockerfile:11: "RUN npm ci && npm run build -- --mode
production" ended with exit code 2
steps    7, 2 of them cached (28 %)
slowest     7.9s  [api 4/4] RUN pip install -r requirements.txt
            4.5s  [web 1/4] FROM docker.io/library/node:22-slim
            4.2s  [web 4/4] RUN npm ci && npm run build -- --mode production --…
)");
}

TEST(Screens, OfASuccessOnANarrowTerminal) {
  EXPECT_EQ("\n" + played(40, 12, BuildEnd::succeeded), R"(
  Building image from Dockerfile
✓ [api 2/4] WORKDIR /srv          cached
✓ [api 3/4] COPY requirements.tx… cached
✓ [web 1/4] FROM docker.io/library… 4.5s
✓ [web 2/4] WORKDIR /app            0.1s
✓ [web 3/4] COPY . .                0.2s
✓ [api 4/4] RUN pip install -r req… 7.9s
✓ [web 4/4] RUN npm ci && npm run … 4.6s
  Pushing image
✓ exporting to image                3.5s

2 warnings
  Dockerfile:14: JSONArgsRecommended:
  JSON arguments recommended for CMD to
  prevent unintended behavior related to
  OS signals
  A process of this build was killed:
  /usr/bin/cc1plus

Built in 13.0s: loaded into the Docker
Engine at unix:///var/run/docker.sock
image    shop:latest
digest   sha256:5b7d1e0c3c5f0c1e5d5a8e5a
4f2f7bb1c6e2a9b8d7c6f5e4d3c2b1a091827364
size     214.3 MB
context  1.8 MB
steps    8, 2 of them cached (25 %)
slowest     7.9s  [api 4/4] RUN pip ins…
            4.6s  [web 4/4] RUN npm ci …
            4.5s  [web 1/4] FROM docker…
)");
}

TEST(Screens, OfAnAbort) {
  EXPECT_EQ("\n" + played(80, 24, BuildEnd::aborted), R"(
  Building image from Dockerfile
✓ [api 2/4] WORKDIR /srv                                                  cached
✓ [api 3/4] COPY requirements.txt ./                                      cached
✓ [web 1/4] FROM docker.io/library/node:22-slim                             4.5s
✓ [web 2/4] WORKDIR /app                                                    0.1s
✓ [web 3/4] COPY . .                                                        0.2s
- [api 4/4] RUN pip install -r requirements.txt                          stopped
- [web 4/4] RUN npm ci && npm run build -- --mode production --base=/as… stopped

1 warning
  Dockerfile:14: JSONArgsRecommended: JSON arguments recommended for CMD to
  prevent unintended behavior related to OS signals

Aborted after 6.0s: Ctrl+C
)");
}

TEST(Screens, NeverHaveMoreRowsThanTheTerminal) {
  for (std::size_t rows = 2; rows < 9; ++rows) {
    Stage stage(30, rows);
    for (std::uint32_t step = 1; step <= 20; ++step) {
      stage.apply(0s, domain::StepStarted{step, "RUN " + std::to_string(step)});
      stage.apply(0s, domain::StepOutput{step, false, "a\nb\nc\n"});
      stage.draw(1s);
      ASSERT_LT(live_rows(stage.terminal(), stage.model, SteadyTime() + 1s).size(), rows);
      ASSERT_TRUE(stage.shown.scrollback().empty());
    }
    EXPECT_TRUE(rows < 4 || text_of(stage).contains("more\n")) << text_of(stage);
  }
}

TEST(Screens, ShareTheRoomFairly) {
  Stage stage(40, 12);
  for (std::uint32_t step = 1; step <= 3; ++step) {
    stage.apply(0s, domain::StepStarted{step, "RUN " + std::to_string(step)});
  }
  for (int i = 0; i < 50; ++i) {
    stage.apply(0s, domain::StepOutput{1, false, "much " + std::to_string(i) + "\n"});
    stage.apply(0s, domain::StepOutput{3, false, "more " + std::to_string(i) + "\n"});
  }
  stage.apply(0s, domain::StepOutput{2, false, "only"});
  stage.draw(1s);
  EXPECT_EQ(text_of(stage),
            "▸ RUN 1                               1s\n  | much 47\n  | much 48\n  | much 49\n"
            "▸ RUN 2                               1s\n  | only\n"
            "▸ RUN 3                               1s\n  | more 47\n  | more 48\n  | more 49\n"
            "1s, 3 running\n");
}

TEST(Screens, HideABaseImageThatNobodyNeedsYet) {
  Stage stage(60, 12);
  stage.apply(0s, domain::StepStarted{1, "[web 1/2] FROM nginx"});
  stage.apply(0s, domain::Activity{.waiting = 1});
  stage.draw(1s);
  EXPECT_EQ(text_of(stage), "1s\n");
  stage.apply(1s, domain::Activity{.transfer = domain::Transfer{1, "sha256:ab", 5, 10, false}});
  stage.draw(2s);
  EXPECT_TRUE(text_of(stage).contains("FROM nginx")) << text_of(stage);
}

TEST(Screens, HaveColoursOnlyWhereTheyAreWanted) {
  for (const bool colour : {false, true}) {
    Stage stage(80, 24, true, colour);
    stage.apply(0s, domain::StepFinished{1, "RUN a", false, "", 1s});
    stage.apply(0s, domain::StepStarted{2, "RUN b"});
    const std::string bytes = stage.draw(1s);
    EXPECT_EQ(bytes.contains("\x1b[32m"), colour);
    EXPECT_EQ(bytes.contains("m"), colour) << bytes;
  }
}

TEST(Screens, TellTheWholeOutputOfAFailureAndWhatIsLeftOut) {
  Stage stage(80, 24);
  stage.apply(0s, domain::StepStarted{1, "RUN noise"});
  for (int i = 0; i < 3'000; ++i) {
    stage.apply(0s, domain::StepOutput{1, false, std::string(999, 'x') + "\n"});
  }
  stage.apply(1s, domain::StepFinished{1, "RUN noise", false, "exit code: 1", 1s});
  stage.finish({.end = BuildEnd::failed, .result = "Dockerfile:2: \"RUN noise\" ended"},
               [](const std::string& file) {
                 return file == "Dockerfile" ? std::optional<std::string>("FROM a\nRUN noise\n")
                                             : std::nullopt;
               });
  const std::string text = text_of(stage);
  EXPECT_TRUE(text.contains("(the first 2.0 MB are left out)")) << text.substr(0, 400);
  EXPECT_TRUE(text.contains("\n   2 | >>> RUN noise\n")) << "the text of the file was at hand";
}

TEST(Screens, SayTimesInWords) {
  EXPECT_EQ(time_in_words(0ms), "0.0s");
  EXPECT_EQ(time_in_words(59'949ms), "59.9s");
  EXPECT_EQ(time_in_words(59'960ms), "1m 00s");
  EXPECT_EQ(time_in_words(72s), "1m 12s");
  EXPECT_EQ(time_in_words(3'725s), "1h 02m");
}

}  // namespace
}  // namespace builder::app::cli
