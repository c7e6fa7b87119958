#include "domain/queue_rules.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <random>
#include <string>
#include <vector>

namespace builder::domain {

void PrintTo(const Placement& placement, std::ostream* out) {
  *out << "place " << static_cast<int>(placement.place) << ", verdict "
       << static_cast<int>(placement.verdict);
}

namespace {

constexpr Placement k_dropped{.place = Place::dropped};
constexpr Placement k_by_user{.place = Place::ended, .verdict = Verdict::cancelled_by_user};
constexpr Placement k_by_newer{.place = Place::ended, .verdict = Verdict::superseded};
constexpr Placement k_used_up{.place = Place::ended, .verdict = Verdict::attempts_used};
constexpr Placement k_waits{.place = Place::waiting};
constexpr Placement k_built{.place = Place::built};

TEST(QueueRules, WhereAnElementGoes) {
  struct Row {
    const char* why;
    Known known;
    Placement placement;
  };

  const std::vector<Row> rows{
      {"nothing is known of it", {}, k_built},
      {"attempts are left", {.attempts = 2}, k_built},
      {"every worker that had it was lost", {.attempts = 3}, k_used_up},
      {"the older build of its service runs", {.service_busy = true}, k_waits},
      {"it waits first, whatever it has used", {.service_busy = true, .attempts = 3}, k_waits},
      {"the user does not want it", {.cancelled = true}, k_by_user},
      {"a newer one has come", {.superseded = true}, k_by_newer},
      {"a cancel is stronger", {.cancelled = true, .superseded = true}, k_by_user},
      {"it need not wait for its end", {.cancelled = true, .service_busy = true}, k_by_user},
      {"nor here", {.superseded = true, .service_busy = true}, k_by_newer},
      {"a cancel is no failure", {.cancelled = true, .attempts = 3}, k_by_user},
      {"it was queued twice", {.owned = true}, k_dropped},
      {"it is cancelled where it is built", {.owned = true, .cancelled = true}, k_dropped},
      {"it is not newer than itself", {.owned = true, .service_busy = true}, k_dropped},
      {"it has ended", {.ended = true}, k_dropped},
      {"its end is on its way", {.ended = true, .undelivered = true}, k_dropped},
      {"it ends once", {.ended = true, .cancelled = true}, k_dropped},
      {"it supersedes nothing any more", {.ended = true, .service_busy = true}, k_dropped},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(place_of(row.known, 3), row.placement) << row.why;
  }
}

TEST(QueueRules, WhoseTurnItIs) {
  struct Row {
    const char* why;
    std::vector<InLine> line;
    Turns turns;
    std::size_t place = 0;
    int passed = 0;
  };

  const std::vector<Row> rows{
      {"alone", {{"a", "1"}}, {}, 0},
      {"nobody had a turn: the oldest", {{"a", "1"}, {"b", "2"}}, {}, 0},
      {"whose builds run waits",
       {{"a", "1"}, {"a", "2"}, {"b", "3"}},
       {{"a", {.running = 1, .last = 1}}},
       2},
      {"fewer builds count more than the last turn",
       {{"a", "1"}, {"b", "2"}},
       {{"a", {.running = 2, .last = 1}}, {"b", {.running = 1, .last = 9}}},
       1},
      {"of equals the one whose turn is longest ago",
       {{"a", "1"}, {"b", "2"}, {"c", "3"}},
       {{"a", {.last = 7}}, {"b", {.last = 8}}, {"c", {.last = 3}}},
       2},
      {"of one owner the oldest", {{"a", "1"}, {"b", "2"}, {"b", "3"}}, {{"a", {.last = 1}}}, 1},
      {"who names nobody is one owner", {{"", "1"}, {"", "2"}, {"a", "3"}}, {{"", {.last = 1}}}, 0},
      {"names alone change nothing", {{"", "1"}, {"", "2"}}, {{"", {.running = 3, .last = 1}}}, 0},
      {"newcomers take turns as one, with those who name nobody",
       {{"new1", "1"}, {"", "2"}, {"new2", "3"}, {"a", "4"}},
       {{"", {.last = 2}}, {"a", {.last = 1}}},
       3},
      {"in the queue's order",
       {{"a", "1"}, {"new1", "2"}, {"new2", "3"}},
       {{"", {.last = 1}}, {"a", {.last = 2}}},
       1},
      {"builds of newcomers are those of all of them",
       {{"new1", "1"}, {"a", "2"}},
       {{"", {.running = 2, .last = 1}}, {"a", {.running = 1, .last = 2}}},
       1},
      {"who runs builds, but had no turn, is a newcomer",
       {{"x", "1"}, {"a", "2"}},
       {{"", {.running = 1}}, {"x", {.running = 1}}, {"a", {.last = 1}}},
       1},
      {"a service keeps its order though its owner changed",
       {{"a", "1"}, {"b", "1"}},
       {{"a", {.running = 1, .last = 1}}},
       0},
      {"jobs without a service have none to keep",
       {{"a", ""}, {"b", ""}},
       {{"a", {.running = 1, .last = 1}}},
       1},
      {"what would be set aside has no turn",
       {{"a", "1"}, {.owner = "b", .service = "2", .busy = true}},
       {{"a", {.running = 1, .last = 1}}},
       0},
      {"but others of its owner have",
       {{"a", "1"}, {.owner = "b", .service = "2", .busy = true}, {"b", "3"}},
       {{"a", {.running = 1, .last = 1}}},
       2},
      {"what cannot be told is a wall",
       {{"a", "1"}, {.readable = false}, {"b", "2"}},
       {{"a", {.running = 1, .last = 1}}},
       0},
      {"and goes when it is the first", {{.readable = false}, {"b", "2"}}, {}, 0},
      {"left often enough",
       {{"a", "1"}, {"b", "2"}},
       {{"a", {.running = 1, .last = 1}}},
       0,
       k_most_passed},
      {"once more",
       {{"a", "1"}, {"b", "2"}},
       {{"a", {.running = 1, .last = 1}}},
       1,
       k_most_passed - 1}};
  for (const Row& row : rows) {
    EXPECT_EQ(place_in_turn(row.line, row.turns, row.passed), row.place) << row.why;
  }
  const Turns turns{{"a", {.running = 1, .last = 1}}};
  EXPECT_EQ(place_in_turn({{"a", "1"}, {"a", "2"}, {"b", "3"}}, turns, 0, 2), 0u)
      << "not from so far behind";
}

TEST(QueueRules, ANewcomersTurnIsThatOfAllNewcomers) {
  Turns turns;
  const CountedBuild first = take_turn(turns, "a");
  EXPECT_TRUE(first.newcomer);
  EXPECT_TRUE(had_turn(turns, "a"));
  EXPECT_EQ(turns[""].running, 1);
  EXPECT_EQ(turns["a"].running, 1);
  EXPECT_LT(turns[""].last, turns["a"].last);
  const CountedBuild second = take_turn(turns, "a");
  EXPECT_FALSE(second.newcomer);
  EXPECT_EQ(turns[""].running, 1);
  EXPECT_EQ(turns["a"].running, 2);
  EXPECT_FALSE(had_turn(turns, "b"));
  take_turn(turns, "b");
  EXPECT_LT(turns["a"].last, turns[""].last);
  count_build(turns, first, -1);
  EXPECT_EQ(turns[""].running, 1) << "b's";
  EXPECT_EQ(turns["a"].running, 1);
  take_turn(turns, "");
  EXPECT_EQ(turns[""].running, 2) << "who names nobody counts once";
}

TEST(QueueRules, InWhichOrderALineIsLikelyToBeTaken) {
  using Places = std::vector<std::size_t>;
  const std::vector<InLine> line{{"a", "1"}, {"a", "2"}, {"a", "3"}, {"b", "4"}, {"c", "5"}};
  EXPECT_EQ(expected_order({}, {}, 0, {}), Places());
  const Turns idle{{"a", {.last = 3}}, {"b", {.last = 1}}, {"c", {.last = 2}}};
  EXPECT_EQ(expected_order(line, idle, 0, {}), Places({3, 0, 4, 1, 2})) << "every second the first";
  Turns busy = idle;
  busy["a"].running = 2;
  EXPECT_EQ(expected_order(line, busy, 0, {{.owner = "a"}, {.owner = "a"}}),
            Places({3, 0, 4, 1, 2}));
  EXPECT_EQ(expected_order(line, busy, k_most_passed, {{.owner = "a"}, {.owner = "a"}}),
            Places({0, 3, 1, 4, 2}));
  EXPECT_EQ(expected_order(line, {}, 0, {}), Places({0, 3, 1, 4, 2})) << "newcomers are one owner";
  EXPECT_EQ(expected_order({{"a", "1"}, {.readable = false}, {"b", "2"}, {"c", "3"}}, idle, 0, {}),
            Places({0, 1, 2, 3}));
}

/// Whatever owners are made up, whoever had turns, and whichever builds run.
TEST(QueueRules, NobodyIsOvertakenMoreOftenThanHeMovesForward) {
  std::mt19937 random(1);
  const auto pick = [&](int limit) {
    return std::uniform_int_distribution<int>(0, limit - 1)(random);
  };
  for (int round = 0; round < 200; ++round) {
    Turns turns;
    for (int i = pick(10); i > 0; --i) {
      turns["o" + std::to_string(pick(10))] = {.running = pick(4), .last = 1 + pick(100)};
    }
    std::vector<InLine> line;
    for (int i = 1 + pick(400); i > 0; --i) {
      line.push_back({.owner = "o" + std::to_string(pick(20)),
                      .service = std::to_string(pick(100)),
                      .readable = pick(100) > 0});
    }
    const auto order = expected_order(line, turns, pick(k_most_passed + 1), {});
    for (std::size_t take = 0; take < order.size(); ++take) {
      const std::size_t place = order[take];
      EXPECT_LE(take, place + std::min(place + 1, k_order_width)) << place;
    }
  }
}

TEST(QueueRules, HowABuildEnds) {
  EXPECT_EQ(verdict_on({.owned = true}), Verdict::as_reported);
  EXPECT_EQ(verdict_on({.owned = true, .superseded = true}), Verdict::superseded);
  EXPECT_EQ(verdict_on({.owned = true, .cancelled = true}), Verdict::cancelled_by_user);
  EXPECT_EQ(verdict_on({.owned = true, .cancelled = true, .superseded = true}),
            Verdict::cancelled_by_user);
}

TEST(QueueRules, WhatACancelMeets) {
  struct Row {
    const char* why;
    Known known;
    bool queued;
    CancelAnswer answer;
  };

  const std::vector<Row> rows{
      {"it may come later", {}, false, CancelAnswer::noted},
      {"it is queued or waits", {}, true, CancelAnswer::removed},
      {"superseded, and still queued", {.superseded = true}, true, CancelAnswer::removed},
      {"it is built", {.owned = true}, false, CancelAnswer::owned},
      {"it is built, and queued again", {.owned = true}, true, CancelAnswer::owned},
      {"its end can be changed",
       {.ended = true, .undelivered = true},
       false,
       CancelAnswer::reporting},
      {"its end can be changed, whatever is queued",
       {.ended = true, .undelivered = true},
       true,
       CancelAnswer::reporting},
      {"the platform has its end", {.ended = true}, false, CancelAnswer::late},
      {"and it stays, whatever is queued", {.ended = true}, true, CancelAnswer::late},
      {"also twice", {.ended = true, .cancelled = true}, false, CancelAnswer::late},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(answer_to_cancel(row.known, row.queued), row.answer) << row.why;
  }
}

using Ids = std::vector<DeploymentId>;

Ids ids(const std::vector<QueuedJob>& jobs) {
  Ids ids;
  for (const QueuedJob& job : jobs) {
    ids.push_back(job.id);
  }
  return ids;
}

const DeploymentId k_a("a");
const DeploymentId k_b("b");
const DeploymentId k_c("c");
const StatusUpdate k_builded{
    .status = DeploymentStatus::builded, .error = {}, .log = {}, .image_uri = "r/x"};

QueuedJob job(const DeploymentId& id, const std::string& service = "s") {
  return {.id = id,
          .service = service.empty() ? std::nullopt : std::optional(ServiceId(service)),
          .element = "element " + id.str()};
}

class JobLedgerTest : public testing::Test {
 protected:
  std::optional<Checkpoint> take(const QueuedJob& job) {
    changes_ = {};
    return ledger_.take(job, changes_);
  }

  std::vector<QueuedJob> look(const std::vector<QueuedJob>& queued) {
    changes_ = {};
    return ledger_.look(queued, changes_);
  }

  [[nodiscard]] Verdict verdict(const DeploymentId& id) const {
    return ledger_.outgoing().at(id).ending.verdict;
  }

  JobLedger ledger_;
  JobLedger::Changes changes_;
};

TEST_F(JobLedgerTest, AnElementIsReadOnceAndIsNoJobWithoutAnId) {
  const auto read = read_queued_job(R"({"deploymentId":"a","serviceId":"s"})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->id, k_a);
  EXPECT_EQ(read->service, ServiceId("s"));
  EXPECT_EQ(read->element, R"({"deploymentId":"a","serviceId":"s"})");
  EXPECT_FALSE(read_queued_job(R"({"serviceId":"s"})"));
  EXPECT_FALSE(read_queued_job("x"));
}

TEST_F(JobLedgerTest, ANewerJobWaitsForTheOlderOneAndIsNext) {
  ASSERT_TRUE(take(job(k_a)));
  EXPECT_FALSE(take(job(k_b)));
  EXPECT_EQ(changes_.superseded, Ids{k_a});
  EXPECT_TRUE(changes_.ended.empty());
  const auto finished = ledger_.finish(k_a, k_builded);
  ASSERT_TRUE(finished);
  EXPECT_EQ(finished->ending.verdict, Verdict::superseded);
  EXPECT_EQ(finished->ending.update.image_uri, "");
  ASSERT_TRUE(finished->next);
  EXPECT_EQ(finished->next->element, "element b");
  EXPECT_TRUE(take(*finished->next));
}

TEST_F(JobLedgerTest, OnlyTheNewestWaits) {
  take(job(k_a));
  take(job(k_b));
  EXPECT_FALSE(take(job(k_c)));
  EXPECT_TRUE(changes_.superseded.empty()) << "it knows";
  EXPECT_EQ(changes_.ended, Ids{k_b});
  EXPECT_EQ(verdict(k_b), Verdict::superseded);
  EXPECT_EQ(ledger_.finish(k_a, k_builded)->next->id, k_c);
}

TEST_F(JobLedgerTest, JobsOfOtherServicesAndOfNoneAreBuiltBeside) {
  EXPECT_TRUE(take(job(k_a)));
  EXPECT_TRUE(take(job(k_b, "other")));
  EXPECT_TRUE(take(job(k_c, "")));
  EXPECT_TRUE(take(job(DeploymentId("d"), "")));
  EXPECT_FALSE(ledger_.finish(k_c, k_builded)->next);
}

TEST_F(JobLedgerTest, ALookSupersedesAllButTheNewest) {
  take(job(k_a));
  take(job(k_b));
  const DeploymentId d("d");
  const DeploymentId other("x");
  const auto overtaken =
      look({job(k_c), job(other, "other"), job(k_c), job(d), job(k_c), job(k_a)});
  EXPECT_EQ(ids(overtaken), Ids{k_c}) << "it was there twice and more, and ends once";
  EXPECT_EQ(changes_.ended, Ids{k_b}) << "it waited";
  EXPECT_TRUE(ledger_.waiting().empty()) << "the newest keeps its place in the queue";
  EXPECT_FALSE(ledger_.known(other).ended);
}

TEST_F(JobLedgerTest, ALookAtWhatWaitsChangesNothing) {
  take(job(k_a));
  take(job(k_b));
  EXPECT_TRUE(look({job(k_b)}).empty());
  EXPECT_TRUE(changes_.superseded.empty());
  EXPECT_EQ(ledger_.waiting().at(ServiceId("s")).id, k_b);
}

TEST_F(JobLedgerTest, WhatIsGivenBackComesBeforeWhatWaited) {
  take(job(k_a, "t"));
  take(job(k_b, "t"));
  EXPECT_EQ(ids(ledger_.requeue(k_a)), (Ids{k_a, k_b}));
  EXPECT_TRUE(ledger_.requeue(k_a).empty()) << "it is not ours any more";
  EXPECT_FALSE(take(job(k_a, "t")));
  EXPECT_EQ(verdict(k_a), Verdict::superseded) << "the newer one is behind it";
}

TEST_F(JobLedgerTest, WhatIsRecordedLastsUntilTheEnd) {
  const Checkpoint checkpoint{.commit = "1234", .image_id = {}, .repository = {}, .digest = {}};
  EXPECT_FALSE(ledger_.record(k_a, checkpoint));
  take(job(k_a));
  EXPECT_TRUE(ledger_.record(k_a, checkpoint));
  ledger_.requeue(k_a);
  EXPECT_EQ(take(job(k_a)), checkpoint);
  ledger_.finish(k_a, k_builded);
  EXPECT_EQ(ledger_.checkpoint(k_a), Checkpoint{});
}

TEST_F(JobLedgerTest, AnEndIsOursUntilItIsDelivered) {
  EXPECT_FALSE(ledger_.finish(k_a, k_builded)) << "it was never ours";
  EXPECT_FALSE(ledger_.settle(k_a, Delivery::done));
  take(job(k_a));
  ledger_.finish(k_a, k_builded);
  EXPECT_EQ(ledger_.finish(k_a, {})->ending.update.image_uri, "r/x") << "the first answer was lost";
  EXPECT_FALSE(ledger_.adopt()) << "somebody delivers it";
  EXPECT_TRUE(ledger_.settle(k_a, Delivery::later));
  EXPECT_FALSE(ledger_.settle(k_a, Delivery::done)) << "it is not ours any more";
  const auto adopted = ledger_.adopt();
  ASSERT_TRUE(adopted);
  EXPECT_EQ(adopted->first, k_a);
  EXPECT_TRUE(ledger_.settle(k_a, Delivery::done));
  EXPECT_FALSE(ledger_.adopt());
  EXPECT_FALSE(take(job(k_a))) << "it has ended";
}

TEST_F(JobLedgerTest, ACancelChangesWhatIsNotDelivered) {
  ledger_.conclude(k_a, {.verdict = Verdict::attempts_used, .update = {}});
  ledger_.conclude(k_b, {.verdict = Verdict::superseded, .update = {}});
  EXPECT_EQ(ledger_.cancel(k_a), CancelAnswer::reporting);
  EXPECT_EQ(ledger_.cancel(k_b), CancelAnswer::reporting);
  EXPECT_EQ(verdict(k_a), Verdict::cancelled_by_user);
  EXPECT_EQ(verdict(k_b), Verdict::superseded) << "it is CANCELLED already";
  ledger_.adopt();
  ledger_.settle(k_a, Delivery::done);
  EXPECT_EQ(ledger_.cancel(k_a), CancelAnswer::late);
}

TEST_F(JobLedgerTest, ACancelReachesAJobWhereverItIs) {
  EXPECT_EQ(ledger_.cancel(k_c), CancelAnswer::noted);
  EXPECT_FALSE(take(job(k_c)));
  EXPECT_EQ(changes_.ended, Ids{k_c});
  EXPECT_EQ(verdict(k_c), Verdict::cancelled_by_user);
  take(job(k_a));
  take(job(k_b));
  EXPECT_EQ(ledger_.cancel(k_b), CancelAnswer::removed) << "it waits";
  EXPECT_EQ(verdict(k_b), Verdict::cancelled_by_user);
  EXPECT_EQ(ledger_.cancel(k_a), CancelAnswer::owned);
  const auto finished = ledger_.finish(k_a, k_builded);
  EXPECT_EQ(finished->ending.verdict, Verdict::cancelled_by_user);
  EXPECT_FALSE(finished->next);
}

TEST_F(JobLedgerTest, OldEndsAreForgotten) {
  RecentIds recent;
  for (int i = 0; i <= 100'000; ++i) {
    recent.insert(DeploymentId(std::to_string(i)));
  }
  EXPECT_FALSE(recent.contains(DeploymentId("0")));
  EXPECT_TRUE(recent.contains(DeploymentId("1")));
  EXPECT_TRUE(recent.contains(DeploymentId("100000")));
}

}  // namespace
}  // namespace builder::domain
