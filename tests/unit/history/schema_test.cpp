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

}  // namespace
}  // namespace builder::adapters::history
