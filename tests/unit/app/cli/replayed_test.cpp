#include "app/cli/replayed.hpp"

#include "history/some_runs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::app::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

const std::string k_digest = "sha256:" + std::string(64, 'a');
const std::string k_newer = "sha256:" + std::string(64, 'b');

ports::KeptRunDetails kept() {
  ports::KeptRunDetails run = some_run("d1", std::chrono::hours(1));
  run.run.start.attempt = 2;
  run.run.start.settings = {{"ENV_DELIVERY", "file"}, {"DOCKER_HOST", "tcp://elsewhere:1"}};
  run.bases = {{"docker.io/library/node:22", k_digest}, {"h:5000/x", ""}};
  return run;
}

std::string text_of(const Replayed& replay, domain::LogType type) {
  std::string text;
  for (const domain::Message& message : replay_messages(replay)) {
    text += message.type == type ? message.text + "\n" : "";
  }
  return text;
}

TEST(Replayed, VariablesAreThoseOfThenThatAreHereThoseThatAreNotAndOthers) {
  const Replayed replay = replayed(kept(), {"TOKEN", "MORE", "MORE"}, Bases::of_then);
  EXPECT_THAT(replay.given, ElementsAre("TOKEN"));
  EXPECT_THAT(replay.missing, ElementsAre("PORT"));
  EXPECT_THAT(replay.added, ElementsAre("MORE"));
  const std::string warnings = text_of(replay, domain::LogType::warning);
  EXPECT_THAT(warnings, HasSubstr("not given, and a history holds no values: PORT (--env"));
  EXPECT_THAT(warnings, HasSubstr("did not have them: MORE"));
  EXPECT_THAT(text_of(replay, domain::LogType::info), HasSubstr("these are given: TOKEN"));
}

TEST(Replayed, OfTheSettingsOnlyThoseCountThatAnImageDependsOn) {
  EXPECT_THAT(replayed(kept(), {}, Bases::of_then).settings,
              ElementsAre(Pair("ENV_DELIVERY", "file")));
  ports::KeptRunDetails old = kept();
  old.run.start.settings.clear();
  EXPECT_THAT(text_of(replayed(old, {}, Bases::of_then), domain::LogType::warning),
              HasSubstr("does not tell the settings"));
}

TEST(Replayed, ImagesAreTakenAsTheyWereAsFarAsThatIsKnown) {
  const Replayed replay = replayed(kept(), {}, Bases::of_then);
  EXPECT_THAT(replay.pins, ElementsAre(Pair("docker.io/library/node:22", k_digest)));
  EXPECT_THAT(replay.unpinned, ElementsAre("h:5000/x"));
  EXPECT_THAT(text_of(replay, domain::LogType::warning),
              HasSubstr("taken as they are now: h:5000/x\n"));
  const Replayed now = replayed(kept(), {}, Bases::of_now);
  EXPECT_THAT(now.pins, IsEmpty());
  EXPECT_THAT(now.unpinned, ElementsAre("docker.io/library/node:22", "h:5000/x"));
}

TEST(Replayed, WhereNoImageIsKnownThatIsSaid) {
  const std::string words = "names no image that it was made of";
  EXPECT_THAT(text_of(replayed(kept(), {}, Bases::of_then), domain::LogType::warning),
              testing::Not(HasSubstr(words)));
  ports::KeptRunDetails run = kept();
  run.bases.clear();
  EXPECT_THAT(text_of(replayed(run, {}, Bases::of_then), domain::LogType::warning),
              HasSubstr(words));
}

TEST(Replayed, TheDigestThatWasMetLastCounts) {
  ports::KeptRunDetails run = kept();
  run.bases.emplace_back("docker.io/library/node:22", k_newer);
  EXPECT_THAT(replayed(run, {}, Bases::of_then).pins, ElementsAre(Pair(testing::_, k_newer)));
}

TEST(Replayed, WhatIsNoImageIsNoPin) {
  ports::KeptRunDetails run = kept();
  run.bases = {
      {"a b\n", k_digest}, {"", k_digest}, {"node:22", "sha256:short"}, {"../x", k_digest}};
  const Replayed replay = replayed(run, {}, Bases::of_then);
  EXPECT_THAT(replay.pins, IsEmpty());
  EXPECT_THAT(replay.unpinned, ElementsAre("node:22"));
}

TEST(Replayed, IsTheSameForPrograms) {
  const auto json = replay_json(replayed(kept(), {"TOKEN"}, Bases::of_then));
  EXPECT_EQ(json["deployment"], "d1");
  EXPECT_EQ(json["attempt"], 2);
  EXPECT_EQ(json["missing"], nlohmann::json({"PORT"}));
  EXPECT_EQ(json["pins"][0]["digest"], k_digest);
  EXPECT_EQ(json["settings"][0]["value"], "file");
}

}  // namespace
}  // namespace builder::app::cli
