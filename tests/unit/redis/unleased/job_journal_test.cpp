#include "adapters/redis/unleased/job_journal.hpp"

#include "base/temp_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace builder::adapters::redis {
namespace {

ports::Ending builded(std::string text) {
  return {.verdict = ports::Verdict::as_reported,
          .update = {.status = ports::DeploymentStatus::builded,
                     .error = {},
                     .log = domain::Message{domain::LogType::info, std::move(text)},
                     .image_uri = "registry/x@sha256:1"}};
}

class JobJournalTest : public testing::Test {
 protected:
  TempDir folder_ = TempDir::make(testing::TempDir(), "journal").value();
  std::string path_ = folder_.path() + "/jobs";
};

TEST_F(JobJournalTest, TellsTheNextProcessWhatIsOpen) {
  JobJournal journal(path_);
  ASSERT_TRUE(journal.taken("a"));
  ASSERT_TRUE(journal.taken("b"));
  ASSERT_TRUE(journal.taken("c"));
  ASSERT_TRUE(journal.ended("b", builded("two\nlines")));
  ASSERT_TRUE(journal.ended("c", {ports::Verdict::superseded, {}}));
  ASSERT_TRUE(journal.taken("d"));
  ASSERT_TRUE(journal.over("d"));
  const auto open = JobJournal::read(path_);
  ASSERT_EQ(open.size(), 3u);
  EXPECT_FALSE(open.at("a"));
  EXPECT_EQ(open.at("b")->update.log->text, "two\nlines");
  EXPECT_EQ(open.at("b")->update.image_uri, "registry/x@sha256:1");
  EXPECT_EQ(open.at("c")->verdict, ports::Verdict::superseded);
}

TEST_F(JobJournalTest, AHalfWrittenLastLineIsNone) {
  JobJournal journal(path_);
  ASSERT_TRUE(journal.taken("a"));
  std::ofstream(path_, std::ios::app) << "over a";
  EXPECT_EQ(JobJournal::read(path_).count("a"), 1u);
}

TEST_F(JobJournalTest, StaysSmallWhileJobsComeAndGo) {
  JobJournal journal(path_);
  ASSERT_TRUE(journal.taken("stays"));
  for (int i = 0; i < 100; ++i) {
    const std::string id = "d" + std::to_string(i);
    ASSERT_TRUE(journal.taken(id));
    ASSERT_TRUE(journal.ended(id, builded(std::string(100'000, 'x'))));
    ASSERT_TRUE(journal.over(id));
  }
  ASSERT_TRUE(journal.taken("last"));
  EXPECT_LT(std::filesystem::file_size(path_), 1'300'000u);
  const auto open = JobJournal::read(path_);
  EXPECT_EQ(open.size(), 2u);
  EXPECT_TRUE(open.contains("stays") && open.contains("last"));
}

TEST_F(JobJournalTest, IsWrittenAnewWhenSomebodyHasRemovedIt) {
  JobJournal journal(path_);
  ASSERT_TRUE(journal.taken("a"));
  ASSERT_TRUE(journal.ended("a", builded("done")));
  std::filesystem::remove(path_);
  ASSERT_TRUE(journal.taken("b"));
  const auto open = JobJournal::read(path_);
  ASSERT_EQ(open.size(), 2u);
  EXPECT_EQ(open.at("a")->update.log->text, "done");
}

TEST_F(JobJournalTest, ClosingRemovesItOnlyWhenNothingIsOpen) {
  JobJournal journal(path_);
  ASSERT_TRUE(journal.taken("a"));
  journal.close();
  EXPECT_TRUE(std::filesystem::exists(path_));
  ASSERT_TRUE(journal.over("a"));
  journal.close();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(JobJournalTest, WhatCannotBeWrittenIsAnError) {
  JobJournal journal(folder_.path() + "/no/such/folder");
  EXPECT_FALSE(journal.taken("a"));
  EXPECT_TRUE(journal.open().empty());
}

}  // namespace
}  // namespace builder::adapters::redis
