#include "app/cli/history/histories.hpp"

#include "some_runs.hpp"

#include <gtest/gtest.h>

namespace builder::app::cli {
namespace {

using std::chrono::seconds;

HistorySource source(const std::string& name, std::vector<ports::KeptRunDetails> runs,
                     std::optional<Error> broken = {}) {
  auto reader = std::make_unique<FakeHistory>(std::move(runs));
  reader->broken = std::move(broken);
  return {.name = name, .reader = std::move(reader)};
}

Histories of(HistorySource one, HistorySource other) {
  std::vector<HistorySource> sources;
  sources.push_back(std::move(one));
  sources.push_back(std::move(other));
  return {std::move(sources), {{"ops-9:1", "it is of a version without a history"}}};
}

std::vector<std::string> ids(const std::vector<ports::KeptRun>& runs) {
  std::vector<std::string> all;
  for (const ports::KeptRun& run : runs) {
    all.push_back(run.start.deployment.str());
  }
  return all;
}

using Ids = std::vector<std::string>;

TEST(Histories, AreOneTheNewestFirst) {
  auto histories = of(source("a", {some_run("d1", seconds(50)), some_run("d4", seconds(20))}),
                      source("b", {some_run("d2", seconds(40)), some_run("d3", seconds(30))}));
  EXPECT_EQ(ids(histories.list({})), (Ids{"d4", "d3", "d2", "d1"}));
  EXPECT_EQ(ids(histories.list({.most = 2})), (Ids{"d4", "d3"}));
  EXPECT_EQ(ids(histories.list({.since = k_now - seconds(35)})), (Ids{"d4", "d3"}));
  EXPECT_TRUE(histories.answered());
  EXPECT_EQ(histories.missing().size(), 1U);
}

TEST(Histories, ARunThatTwoWorkersHaveIsTheSame) {
  // Workers of one host share a file.
  auto histories = of(source("a", {some_run("d1", seconds(50)), some_run("d1", seconds(20))}),
                      source("b", {some_run("d1", seconds(50)), some_run("d1", seconds(20))}));
  EXPECT_EQ(ids(histories.list({})), (Ids{"d1", "d1"}));
  const auto found = histories.find(domain::DeploymentId("d1"));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(found.front().details.run.started, k_now - seconds(20));
  EXPECT_EQ(found.front().source->name, "a");
  EXPECT_TRUE(histories.find(domain::DeploymentId("d2")).empty());
}

TEST(Histories, AreReadPageByPage) {
  std::vector<ports::KeptRunDetails> many;
  for (int i = 0; i < 350; ++i) {
    many.push_back(some_run("d" + std::to_string(i), seconds(1'000 - i)));
  }
  auto histories = of(source("a", many), source("b", {}));
  EXPECT_EQ(histories.list({.most = 1'000}).size(), 350U);
  EXPECT_EQ(histories.list({.most = 201}).size(), 201U);
}

TEST(Histories, OneThatFailsIsNamedAndTheOthersCount) {
  const Error away{.kind = ErrorKind::timed_out, .message = "no answer"};
  auto histories =
      of(source("a", {some_run("d1", seconds(50))}), source("b (http://b:1)", {}, away));
  EXPECT_EQ(ids(histories.list({})), Ids{"d1"});
  EXPECT_TRUE(histories.answered());
  ASSERT_EQ(histories.missing().size(), 2U);
  EXPECT_EQ(histories.missing()[1].whose, "b (http://b:1)");
  EXPECT_EQ(histories.missing()[1].why, "no answer");
  auto none = of(source("a", {}, away), source("b", {}, away));
  EXPECT_TRUE(none.list({}).empty());
  EXPECT_FALSE(none.answered());
}

/// Answers every question with the same page.
class Endless final : public ports::HistoryReader {
 public:
  Result<std::vector<ports::KeptRun>> list(const ports::RunFilter&) override {
    return std::vector{some_run("d1", seconds(1)).run};
  }

  Result<std::vector<ports::KeptRunDetails>> find(const domain::DeploymentId&) override {
    return std::vector<ports::KeptRunDetails>();
  }

  Result<std::vector<ports::KeptRow>> log(std::int64_t, std::uint64_t, std::size_t) override {
    return std::vector<ports::KeptRow>();
  }
};

TEST(Histories, OneWithoutAnEndIsGivenUp) {
  auto histories = of(source("a", {}), {.name = "b", .reader = std::make_unique<Endless>()});
  EXPECT_TRUE(histories.list({.most = 1'000}).empty());
  EXPECT_EQ(histories.missing().back().why, "its runs are not in order");
}

}  // namespace
}  // namespace builder::app::cli
