#include "adapters/remote_history/wire.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::remote_history {
namespace {

using std::chrono::milliseconds;

const ports::HistoryTime k_time{milliseconds(1'764'437'000'123)};

ports::KeptRunDetails some_run() {
  ports::KeptRunDetails details;
  details.run = {.id = 7,
                 .start = {.deployment = domain::DeploymentId("d1"),
                           .service = domain::ServiceId("s1"),
                           .attempt = 2,
                           .repository = "https://github.com/octo/hello",
                           .branch = "main",
                           .dockerfile = "Dockerfile",
                           .variables = {"A", "B"},
                           .settings = {{"CNB_BUILDER", "x/builder:1"}},
                           .port = 8080,
                           .engine = "docker",
                           .version = "2.4.0",
                           .worker = "ops-1:42"},
                 .started = k_time,
                 .ended = k_time + milliseconds(61'000),
                 .end = {.outcome = "failed",
                         .category = "customer",
                         .reason = "exit",
                         .line = "Dockerfile:7: failed",
                         .advice = "mend it",
                         .commit = "0123",
                         .image = "i",
                         .digest = "sha256:1",
                         .context_bytes = 10,
                         .pushed_bytes = 20},
                 .steps = 3,
                 .cached = 1};
  details.phases = {{"fetch", milliseconds(1'000)}, {"build", milliseconds(0)}};
  details.steps = {{.name = "[1/2] FROM x", .duration = milliseconds(5), .cached = true},
                   {.name = "[2/2] RUN y", .duration = milliseconds(6), .failed = true}};
  details.bases = {{"docker.io/library/x:1", "sha256:2"}};
  details.rows = 12;
  details.rows_lost = 3;
  return details;
}

TEST(HistoryWire, ARunIsReadAsItWasWritten) {
  const auto read = read_details(details_answer({some_run()}));
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(read->size(), 1U);
  EXPECT_EQ(details_json(read->front()), details_json(some_run()));
  const auto runs = read_runs(runs_answer({some_run().run}));
  ASSERT_TRUE(runs);
  EXPECT_EQ(run_json(runs->front()), run_json(some_run().run));
  EXPECT_EQ(runs->front().start.worker, "ops-1:42");
  EXPECT_EQ(read->front().run.start.settings, some_run().run.start.settings);
  EXPECT_EQ(read->front().run.start.port, 8080);
  EXPECT_EQ(runs->front().ended, k_time + milliseconds(61'000));
}

TEST(HistoryWire, ARowIsReadAsItWasWritten) {
  RowsAnswer answer;
  EXPECT_EQ(answer.text(), R"({"rows":[]})");
  EXPECT_TRUE(answer.add(
      {.number = 3, .time = k_time, .type = domain::LogType::stderr_, .line = "a \"b\" \x1b[31m"}));
  const auto rows = read_rows(answer.text());
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->front().number, 3U);
  EXPECT_EQ(rows->front().time, k_time);
  EXPECT_EQ(rows->front().type, domain::LogType::stderr_);
  EXPECT_EQ(rows->front().line, "a \"b\" \x1b[31m");
}

TEST(HistoryWire, AnswersHaveABoundWhateverARunHolds) {
  ports::KeptRunDetails fat = some_run();
  const std::string text(100'000, '\x01');  // Each byte becomes six.
  for (std::string* const field :
       {&fat.run.start.repository, &fat.run.start.branch, &fat.run.start.dockerfile,
        &fat.run.start.engine, &fat.run.end.reason, &fat.run.end.line, &fat.run.end.advice,
        &fat.run.end.image, &fat.run.end.category}) {
    *field = text;
  }
  const std::string name(1'000, '\x01');
  fat.run.start.variables.assign(2'000, name);
  fat.run.start.settings.assign(100, {name, text});
  fat.steps.assign(5'000, {.name = name});
  fat.bases.assign(5'000, {name, name});
  const std::vector<ports::KeptRunDetails> all(3, fat);
  EXPECT_LT(details_answer(all).size(), k_largest_answer);
  EXPECT_EQ(read_details(details_answer(all))->size(), 1U);
  EXPECT_GT(details_json(fat, k_answer_bytes)["left_out"], 9'000);
  EXPECT_LT(runs_answer(std::vector(100, fat.run)).size(), k_largest_answer);

  RowsAnswer rows;
  std::size_t taken = 0;
  while (rows.add({.number = taken, .line = text})) {
    ++taken;
  }
  EXPECT_EQ(taken, 1U) << "the first always has room";
  EXPECT_LT(rows.text().size(), k_largest_answer);
}

TEST(HistoryWire, WhatNoHistoryAnswersIsAnError) {
  for (const std::string& answer :
       {std::string(), std::string("<html>"), std::string("[]"), std::string(R"({"runs":1})"),
        std::string(R"({"rows":{}})"), std::string(100'000, '[')}) {
    EXPECT_FALSE(read_runs(answer)) << answer.substr(0, 20);
    EXPECT_FALSE(read_details(answer));
    EXPECT_FALSE(read_rows(answer));
  }
  const auto odd = read_details(
      R"({"runs":[7,null,{"run":-3,"attempt":"x","started":"never","steps":[1,{"cached":"yes"}],
          "rows":1e9,"phases":{},"variables":[1,"A"],"unknown":[]}]})");
  ASSERT_TRUE(odd);
  ASSERT_EQ(odd->size(), 1U);
  EXPECT_EQ(odd->front().run.id, 0);
  EXPECT_EQ(odd->front().steps.size(), 1U);
  EXPECT_EQ(odd->front().run.start.variables, std::vector<std::string>{"A"});
}

TEST(HistoryWire, AQuestionIsReadAsItWasWritten) {
  const ports::RunFilter filter{
      .service = "s 1&x", .outcome = "failed", .since = k_time, .before = 12, .most = 20};
  EXPECT_EQ(target_of(filter),
            "/history?n=20&service=s%201%26x&outcome=failed&since=2025-11-29T17:23:20.123Z&"
            "before=12");
  const auto read = read_target(target_of(filter));
  ASSERT_TRUE(read) << read.error().message;
  const auto& same = std::get<ports::RunFilter>(*read);
  EXPECT_EQ(target_of(same), target_of(filter));
  EXPECT_EQ(same.service, "s 1&x");
  EXPECT_EQ(std::get<domain::DeploymentId>(*read_target("/history/d-1_x")),
            domain::DeploymentId("d-1_x"));
  const LogPart part{.run = 7, .from = 99};
  EXPECT_EQ(std::get<LogPart>(*read_target(target_of(part))), part);
  EXPECT_EQ(std::get<ports::RunFilter>(*read_target("/history?n=1000000&later=1")).most,
            k_most_runs);
  EXPECT_EQ(std::get<ports::RunFilter>(*read_target("/history?n=0")).most, 1U);
}

TEST(HistoryWire, NoOtherQuestionIsUnderstood) {
  for (const char* target : {"/history/", "/history/../x", "/history/runs/7", "/history/runs/x/log",
                             "/history/runs/-1/log", "/history/runs//log", "/history/d1/log",
                             "/historyx", "/history/d%00", "/history/runs/log"}) {
    const auto read = read_target(target);
    ASSERT_FALSE(read) << target;
    EXPECT_EQ(read.error().kind, ErrorKind::not_found) << target;
  }
  for (const char* target : {"/history?n=x", "/history?n=-1", "/history?since=2h",
                             "/history?before=", "/history/runs/7/log?from=-1",
                             "/history/runs/7/log?from=99999999999999999999"}) {
    const auto read = read_target(target);
    ASSERT_FALSE(read) << target;
    EXPECT_EQ(read.error().kind, ErrorKind::invalid_input) << target;
  }
}

}  // namespace
}  // namespace builder::adapters::remote_history
