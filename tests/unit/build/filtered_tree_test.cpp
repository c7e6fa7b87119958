#include "build/filtered_tree.hpp"

#include "fakes/memory_tree.hpp"

#include <gtest/gtest.h>

namespace builder::build {
namespace {

std::shared_ptr<const ports::SourceTree> source() {
  auto tree = std::make_shared<fakes::MemoryTree>();
  for (const char* path : {"a.md", "a.js", "docs/b.md", "docs/deep/c.js", "only/d.md"}) {
    tree->add_file(path, "");
  }
  return tree;
}

TEST(FilteredTree, HoldsTheChosenFilesAndTheFoldersThatLeadToThem) {
  domain::MatchingBudget budget;
  domain::buildpacks::IgnoreRules rules({"*.md"});
  const auto without = make_filtered_tree(source(), rules, Matched::left_out, budget);
  ASSERT_TRUE(without);
  EXPECT_FALSE((*without)->stat("a.md"));
  EXPECT_TRUE((*without)->stat("docs/deep/c.js"));
  EXPECT_FALSE((*without)->stat("only"));
  const auto with = make_filtered_tree(source(), rules, Matched::kept, budget);
  ASSERT_TRUE(with);
  EXPECT_TRUE((*with)->stat("docs/b.md"));
  EXPECT_FALSE((*with)->stat("docs/deep"));
}

TEST(FilteredTree, EndsWhenTheRulesCostTooMuch) {
  domain::MatchingBudget budget(20);
  domain::buildpacks::IgnoreRules rules({"*a*b*c"});
  const auto tree = make_filtered_tree(source(), rules, Matched::left_out, budget);
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().kind, ErrorKind::invalid_input);
  EXPECT_EQ(tree.error().customer,
            "The patterns of project.toml take too long on that many files; please write fewer or "
            "simpler ones, or name folders");
}

}  // namespace
}  // namespace builder::build
