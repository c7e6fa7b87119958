#include "adapters/redis/leased/outbox_entry.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::redis {
namespace {

using domain::LogType;
using ports::DeploymentStatus;
using ports::Verdict;

TEST(OutboxEntry, ComesBackAsItWas) {
  const ports::StatusUpdate update{.status = DeploymentStatus::failed,
                                   .error = "Dockerfile:3: \"RUN\" failed – exit code 1",
                                   .log = domain::Message{LogType::error, "line\n\xc3\xa9"},
                                   .image_uri = ""};
  const auto ending = read_entry(write_entry(update));
  ASSERT_TRUE(ending);
  EXPECT_EQ(ending->verdict, Verdict::as_reported);
  EXPECT_EQ(ending->update.status, update.status);
  EXPECT_EQ(ending->update.error, update.error);
  EXPECT_EQ(ending->update.log->type, LogType::error);
  EXPECT_EQ(ending->update.log->text, update.log->text);
}

TEST(OutboxEntry, KnowsTheReasonsOfTheScripts) {
  EXPECT_EQ(read_entry(R"({"status":"CANCELLED","reason":"user"})")->verdict,
            Verdict::cancelled_by_user);
  EXPECT_EQ(read_entry(R"({"status":"CANCELLED","reason":"superseded"})")->verdict,
            Verdict::superseded);
  EXPECT_EQ(read_entry(R"({"status":"FAILED","reason":"attempts"})")->verdict,
            Verdict::attempts_used);
}

TEST(OutboxEntry, RefusesWhatIsNoEnd) {
  for (const char* text : {"", "x", "[]", "{}", R"({"status":"BUILDING"})", R"({"status":7})"}) {
    EXPECT_FALSE(read_entry(text)) << text;
  }
}

}  // namespace
}  // namespace builder::adapters::redis
