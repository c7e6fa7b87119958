#include "adapters/history/schema.hpp"

#include "kept.hpp"

#include <array>
#include <fstream>

namespace builder::adapters::history {
namespace {

class HistorySchema : public ::testing::Test {
 protected:
  Database open() {
    std::ofstream(path_, std::ios::app);
    return *Database::open(path_, Database::Mode::write, 1s);
  }

  TempDir folder_ = *TempDir::make(::testing::TempDir(), "builder-");
  std::string path_ = folder_.path() + "/x.db";
  std::array<std::string, 2> steps_{"CREATE TABLE a (x)",
                                    "ALTER TABLE a ADD y DEFAULT 7; INSERT INTO a (x) VALUES (2)"};
};

TEST_F(HistorySchema, AnOlderFileIsMadeANewerOneAndKeepsWhatIsInIt) {
  Database database = open();
  ASSERT_TRUE(migrate(database, std::span(steps_).first(1)));
  ASSERT_TRUE(database.execute("INSERT INTO a VALUES (1)"));
  ASSERT_FALSE(expect_version(database, steps_));
  ASSERT_TRUE(migrate(database, steps_));
  ASSERT_TRUE(migrate(database, steps_)) << "a second time";
  EXPECT_TRUE(expect_version(database, steps_));
  EXPECT_EQ(database.number("SELECT sum(x) + sum(y) FROM a"), 17);
}

TEST_F(HistorySchema, AStepThatFailsLeavesTheFileAsItWas) {
  Database database = open();
  ASSERT_TRUE(migrate(database, std::span(steps_).first(1)));
  steps_[1] = "ALTER TABLE a ADD y; INSERT INTO nothing VALUES (1)";
  EXPECT_FALSE(migrate(database, steps_));
  EXPECT_TRUE(expect_version(database, std::span(steps_).first(1)));
  EXPECT_EQ(database.number("SELECT count(*) FROM pragma_table_info('a')"), 1);
}

TEST_F(HistorySchema, ANewerFileIsNotTouched) {
  Database database = open();
  ASSERT_TRUE(migrate(database, steps_));
  for (const Result<>& refused : {migrate(database, std::span(steps_).first(1)),
                                  expect_version(database, std::span(steps_).first(1))}) {
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  }
  EXPECT_EQ(database.number("PRAGMA user_version"), 2);
}

/// As a worker of version 1 of the file leaves one.
void write_first_version(const Folder& folder) {
  ASSERT_TRUE(make_directories(folder.path()));
  std::ofstream(folder.file(), std::ios::app);
  auto database = Database::open(folder.file(), Database::Mode::write, 1s);
  ASSERT_TRUE(database);
  ASSERT_TRUE(migrate(*database, schema_steps().first(1)));
  ASSERT_TRUE(database->execute(
      "INSERT INTO runs (writer, deployment, service, attempt, repository, branch, dockerfile,"
      " variables, engine, version, worker, started, ended, outcome, sha, rows, rows_kept)"
      " VALUES (1, 'd1', 's1', 1, 'https://git.example/shop.git', 'main', '', '[\"A\"]', 'docker',"
      " '2.0.0', 'ops-1:42', 1000, 2000, 'builded', 'abc', 7, 5)"));
}

TEST(HistoryOfTheFirstVersion, IsReadBeforeAnybodyHasMigratedIt) {
  const Folder folder;
  write_first_version(folder);
  ASSERT_EQ(folder.names(), std::vector<std::string>{"d1"});
  const ports::KeptRunDetails kept = folder.find("d1");
  EXPECT_EQ(kept.run.end.commit, "abc");
  EXPECT_EQ(kept.run.start.variables, std::vector<std::string>{"A"});
  EXPECT_TRUE(kept.run.start.settings.empty());
  EXPECT_EQ(kept.run.start.port, 0);
  EXPECT_EQ(kept.rows, 7U);
  EXPECT_EQ(kept.rows_lost, 2U);
}

TEST(HistoryOfTheFirstVersion, IsMigratedWithAllThatIsInIt) {
  const Folder folder;
  write_first_version(folder);
  auto database = Database::open(folder.file(), Database::Mode::write, 1s);
  ASSERT_TRUE(database);
  ASSERT_TRUE(migrate(*database, schema_steps()));
  const ports::KeptRunDetails kept = folder.find("d1");
  EXPECT_EQ(kept.run.end.commit, "abc");
  EXPECT_TRUE(kept.run.start.settings.empty());
  EXPECT_EQ(kept.rows_lost, 2U);
}

}  // namespace
}  // namespace builder::adapters::history
