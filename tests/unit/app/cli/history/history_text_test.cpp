#include "app/cli/history/history_text.hpp"

#include "some_runs.hpp"

#include <gtest/gtest.h>

namespace builder::app::cli {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Terminal k_pipe{.columns = Terminal::k_no_limit};

std::vector<ports::KeptRun> some_list() {
  std::vector<ports::KeptRun> runs{failed_run("d2", seconds(90)).run,
                                   some_run("d1", std::chrono::hours(50)).run};
  ports::KeptRun running = some_run("d3", seconds(10)).run;
  running.ended.reset();
  running.end = {.outcome = std::string(ports::k_running)};
  running.steps = 0;
  runs.insert(runs.begin(), running);
  return runs;
}

TEST(HistoryText, ListsWhatWasBuilt) {
  EXPECT_EQ(list_text(k_pipe, some_list(), k_now),
            R"(DEPLOYMENT  SERVICE  OUTCOME  AGE    TOOK    CACHED  WORKER    REASON
d3          shop     running  10s    10.0s   -       ops-1:42
d2          shop     failed   1m30s  1m 12s  1/3     ops-1:42  Dockerfile:2: "RUN npm ci" failed with exit code 1
d1          shop     builded  2d2h   1m 12s  1/3     ops-1:42
)");
  EXPECT_EQ(list_text(k_pipe, {}, k_now), "No build is in the history.\n");
}

TEST(HistoryText, AListFitsIntoItsTerminal) {
  EXPECT_EQ(list_text({.columns = 80}, some_list(), k_now),
            R"(DEPLOYMENT  SERVICE  OUTCOME  AGE    TOOK    CACHED  WORKER    REASON
d3          shop     running  10s    10.0s   -       ops-1:42
d2          shop     failed   1m30s  1m 12s  1/3     ops-1:42  Dockerfile:2: "R…
d1          shop     builded  2d2h   1m 12s  1/3     ops-1:42
)");
  const std::string narrow = list_text({.columns = 40}, some_list(), k_now);
  EXPECT_TRUE(narrow.starts_with("DEPLOYMENT: d3\n  SERVICE: shop\n  OUTCOME: running\n"))
      << narrow;
  for (const std::size_t columns : {20U, 40U, 80U, 120U}) {
    const std::string run = run_text({.columns = columns}, failed_run("d2", seconds(90)),
                                     {{.line = std::string(500, 'x')}}, k_now);
    std::string text = list_text({.columns = columns}, some_list(), k_now) +
                       run.substr(run.find("The log ends with"));
    while (!text.empty()) {
      const std::string row = text.substr(0, text.find('\n'));
      EXPECT_LE(width_of(row), columns) << row;
      text.erase(0, row.size() + 1);
    }
  }
}

TEST(HistoryText, ShowsOneRun) {
  EXPECT_EQ(run_text(k_pipe, failed_run("d2", seconds(90)),
                     {{.line = "npm error code ERESOLVE"}, {.line = "\x1b[31mred\x1b[0m"}}, k_now),
            R"(
Attempt      1 on ops-1:42
Began        2025-11-29 17:21:50 UTC (1m30s ago)
Took         1m 12s
Outcome      failed, category dependencies, npm-eresolve
Failure      Dockerfile:2: "RUN npm ci" failed with exit code 1
Suggestion   Run npm install and commit package-lock.json
Source       https://github.com/octo/shop@main, Dockerfile
Commit       0123456789abcdef0123456789abcdef01234567
Bytes        12.3 kB sent to the engine
Engine       docker unix:///var/run/docker.sock
Variables    PORT, TOKEN
Bases        docker.io/library/node:22 sha256:0123

PHASE  TOOK
fetch  1.2s
build  1m 10s

TOOK                 STEP
cached               [1/3] FROM docker.io/library/node:22
failed after 1m 01s  [2/3] RUN npm ci
… and 1 more

The log ends with
  | npm error code ERESOLVE
  | red
)");
}

TEST(HistoryText, AStrangersTextDoesNothingToATerminal) {
  const std::string evil = "a\x1b]0;title\x07\x1b[2J\r\nb\u202e\u009b31m\x7f";
  ports::KeptRunDetails run = failed_run("d2", seconds(90));
  for (std::string* const field :
       {&run.run.start.worker, &run.run.start.repository, &run.run.start.branch,
        &run.run.start.dockerfile, &run.run.start.engine, &run.run.end.outcome,
        &run.run.end.category, &run.run.end.reason, &run.run.end.line, &run.run.end.advice,
        &run.run.end.commit, &run.run.end.image, &run.run.end.digest, &run.steps[0].name,
        &run.phases[0].first, &run.bases[0].first, &run.bases[0].second,
        &run.run.start.variables[0]}) {
    *field = evil;
  }
  run.run.start.deployment = domain::DeploymentId(evil);
  run.run.start.service = domain::ServiceId(evil);
  const std::string text = list_text(k_pipe, {run.run}, k_now) +
                           run_text(k_pipe, run, {{.line = evil}}, k_now) +
                           log_row_text(k_pipe, {.line = evil}, false);
  for (const char* const bad : {"\x1b", "\x07", "\r", "\u202e", "\u009b", "\x7f"}) {
    EXPECT_FALSE(text.contains(bad)) << text;
  }
  const std::string coloured = log_row_text({.colour = true}, {.line = evil}, false);
  EXPECT_FALSE(coloured.contains("\x1b]") || coloured.contains("\x1b[2J")) << coloured;
}

TEST(HistoryText, ARowOfALogKeepsItsColoursWhereThereAreSome) {
  const ports::KeptRow row{
      .number = 3, .time = k_now, .type = domain::LogType::stdout_, .line = "  \x1b[32mok"};
  EXPECT_EQ(log_row_text(k_pipe, row, false), "  ok\n");
  EXPECT_EQ(log_row_text(k_pipe, row, true), "2025-11-29T17:23:20.000Z   ok\n");
  EXPECT_EQ(log_row_text({.colour = true}, row, false), "  \x1b[32mok\x1b[0m\n");
}

TEST(HistoryText, JsonIsAscii) {
  EXPECT_EQ(dumped_ascii({{"line", "\x1b\u009b\x7f\xff\u00e4"}}, -1),
            "{\"line\":\"\\u001b\\u009b\\u007f\\ufffd\\u00e4\"}\n");
}

TEST(HistoryText, SinceIsATimeOrHowLongAgo) {
  EXPECT_EQ(parse_since("90s", k_now), k_now - seconds(90));
  EXPECT_EQ(parse_since("2h", k_now), k_now - std::chrono::hours(2));
  EXPECT_EQ(parse_since("7d", k_now), k_now - std::chrono::days(7));
  EXPECT_EQ(parse_since("2025-11-29T17:23:20Z", {}), k_now);
  EXPECT_EQ(parse_since("2025-11-29", k_now), std::chrono::floor<std::chrono::days>(k_now));
  for (const char* const text : {"", "2", "h", "2x", "-2h", "2hh", "99999999999999999999d",
                                 "9999999999d", "yesterday", " 2h"}) {
    EXPECT_EQ(parse_since(text, k_now), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace builder::app::cli
