// Proves the take protocol for all histories of two workers within a scope, and that each of its
// rules is needed: without it the explorer finds a history that breaks an invariant.
#include "model/explorer.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <iostream>

namespace builder::model {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool k_whole = false;  // Under a sanitizer the code is checked, not the protocol.
#else
constexpr bool k_whole = true;
#endif

/// Jobs 0, 1 and 3 are of one service, 2 is of another.
Rules rules() {
  Rules rules;
  rules.service = {0, 0, 1, 0, k_none};
  rules.most_attempts = 2;
  return rules;
}

/// Jobs 0 and 3 are of one owner, 1 and 2 of another, though 1 is of the first one's service.
Rules rules_in_turn() {
  Rules in_turn = rules();
  in_turn.organization = {0, 1, 1, 0, k_nobody};
  in_turn.width = k_queue;
  return in_turn;
}

std::string story(const Exploration& found) {
  std::string text = found.violation + ":";
  for (const std::string& step : found.trace) {
    text += "\n  " + step;
  }
  return text;
}

struct ScopeCase {
  const char* name;
  std::vector<Small> pushes;
  Budgets budgets;
  Rules rules = builder::model::rules();
};

void PrintTo(const ScopeCase& scope, std::ostream* out) {
  *out << scope.name;
}

class ExplorerTest : public testing::TestWithParam<ScopeCase> {
 public:
  static void TearDownTestSuite() {
    if (k_whole) {
      EXPECT_GE(states_, 1'000'000u);
    }
  }

 protected:
  static inline std::size_t states_ = 0;
};

TEST_P(ExplorerTest, NoHistoryBreaksAnInvariant) {
  Scope scope{
      .rules = GetParam().rules, .pushes = GetParam().pushes, .budgets = GetParam().budgets};
  if (std::getenv("MODEL_SCOPE") != nullptr) {  // By hand: minutes, and gigabytes of memory.
    ++scope.budgets.crashes;
    ++scope.budgets.losses;
    scope.most_states = 60'000'000;
  }
  scope.most_states = k_whole ? scope.most_states : 20'000;
  const Exploration found = explore(scope);
  EXPECT_EQ(found.violation, "") << story(found);
  EXPECT_TRUE(found.complete || !k_whole);
  states_ += found.states;
  std::cout << GetParam().name << ": " << found.states << " states, " << found.transitions
            << " transitions\n";
}

INSTANTIATE_TEST_SUITE_P(
    Scopes, ExplorerTest,
    testing::Values(
        ScopeCase{"faults", {0, 0}, {.cancels = 1, .crashes = 1, .pauses = 1, .losses = 1}},
        ScopeCase{"newer", {0, 1}, {.crashes = 1, .pauses = 1, .losses = 1}},
        ScopeCase{"cancels", {0, 1}, {.cancels = 2, .crashes = 1, .pauses = 1}},
        ScopeCase{"newest", {0, 1, 3}, {.crashes = 1, .drains = 1}},
        ScopeCase{"places", {0, 2, 1}, {.crashes = 1, .drains = 1}},
        ScopeCase{"services", {0, 2}, {.crashes = 1, .pauses = 1, .losses = 1}},
        ScopeCase{"attempts", {0}, {.crashes = 3, .pauses = 1, .losses = 1}},
        ScopeCase{"drains", {0, 1}, {.cancels = 1, .crashes = 1, .drains = 2}},
        ScopeCase{"records", {0}, {.cancels = 1, .crashes = 1, .pauses = 1, .records = 2}},
        ScopeCase{"turns", {0, 3, 2, 4}, {.drains = 1}, rules_in_turn()},
        ScopeCase{"turns_of_a_service", {3, 0, 1}, {.crashes = 1, .drains = 1}, rules_in_turn()}),
    [](const auto& test) { return std::string(test.param.name); });

struct Mutant {
  const char* name;
  std::function<void(Scope&)> weaken;
};

void PrintTo(const Mutant& mutant, std::ostream* out) {
  *out << mutant.name;
}

class MutantTest : public testing::TestWithParam<Mutant> {};

TEST_P(MutantTest, IsFound) {
  Scope scope{
      .rules = rules(),
      .pushes = {0, 1, 0},
      .budgets = {.cancels = 1, .crashes = 1, .pauses = 1, .losses = 1, .drains = 1, .records = 1}};
  GetParam().weaken(scope);
  const Exploration found = explore(scope);
  EXPECT_NE(found.violation, "") << found.states << " states and nothing found";
  std::cout << GetParam().name << " after " << found.states << " states: " << story(found) << "\n";
}

INSTANTIATE_TEST_SUITE_P(
    Guards, MutantTest,
    testing::Values(
        Mutant{"FenceBeforePosts", [](Scope& s) { s.fence_before_posts = false; }},
        Mutant{"FenceEndsBeforeLease", [](Scope& s) { s.fence_ends_before_lease = false; }},
        Mutant{"TakeDropsEnded", [](Scope& s) { s.rules.guards.take_drops_ended = false; }},
        Mutant{"TakeDropsOwned", [](Scope& s) { s.rules.guards.take_drops_owned = false; }},
        Mutant{"TakeObeysCancels", [](Scope& s) { s.rules.guards.take_obeys_cancels = false; }},
        Mutant{"TakeLimitsAttempts",
               [](Scope& s) {
                 s.pushes = {0};
                 s.budgets.crashes = 3;
                 s.rules.guards.take_limits_attempts = false;
               }},
        Mutant{"BeatNamesStrayJobs",
               [](Scope& s) {
                 s.pushes = {0};
                 s.rules.guards.beat_names_strays = false;
               }},
        Mutant{"OneBuildPerService",
               [](Scope& s) { s.rules.guards.one_build_per_service = false; }},
        Mutant{"ReplacedJobIsConcluded",
               [](Scope& s) {
                 s.pushes = {0, 1, 3};
                 s.rules.guards.replaced_job_is_concluded = false;
               }},
        Mutant{"WaitingJobIsReleased",
               [](Scope& s) { s.rules.guards.waiting_job_is_released = false; }},
        Mutant{"ReleasedJobGoesFirst",
               [](Scope& s) {
                 s.pushes = {0, 1, 3};
                 s.rules.guards.released_job_goes_first = false;
               }},
        Mutant{"LookKeepsPlaces",
               [](Scope& s) {
                 s.pushes = {0, 2, 1};
                 s.rules.guards.look_keeps_places = false;
               }},
        Mutant{"FinishChecksOwner", [](Scope& s) { s.rules.guards.finish_checks_owner = false; }},
        Mutant{"FinishObeysCancels", [](Scope& s) { s.rules.guards.finish_obeys_cancels = false; }},
        Mutant{"FinishRepeatsLostAnswers",
               [](Scope& s) {
                 s.rules.guards.finish_repeats_lost_answers = false;
                 s.rules.guards.beat_names_strays = false;  // Mends it, but late.
               }},
        Mutant{"ReapGivesBack", [](Scope& s) { s.rules.guards.reap_gives_back = false; }},
        Mutant{"ReapRemovesWorker", [](Scope& s) { s.rules.guards.reap_removes_worker = false; }},
        Mutant{"RequeueChecksOwner", [](Scope& s) { s.rules.guards.requeue_checks_owner = false; }},
        Mutant{"AdoptSparesLiving", [](Scope& s) { s.rules.guards.adopt_spares_living = false; }},
        Mutant{"CancelLeavesTombstone",
               [](Scope& s) { s.rules.guards.cancel_leaves_tombstone = false; }},
        Mutant{"RecordChecksOwner", [](Scope& s) { s.rules.guards.record_checks_owner = false; }},
        Mutant{"OrderKeepsServices",
               [](Scope& s) {
                 s.rules = rules_in_turn();
                 s.pushes = {3, 0, 1};
                 s.rules.guards.order_keeps_services = false;
               }}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace builder::model
