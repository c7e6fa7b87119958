#include "ports/subtree.hpp"

#include "fakes/memory_tree.hpp"

#include <gtest/gtest.h>

#include <memory>

namespace builder::ports {
namespace {

TEST(Subtree, IsAFolderAsIfItWereAllThereIs) {
  auto whole = std::make_shared<fakes::MemoryTree>();
  whole->add_file("a.txt", "outer");
  whole->add_file("services/web/Dockerfile", "FROM busybox\n");
  whole->add_symlink("services/web/link", "Dockerfile");
  const auto tree = *make_subtree(whole, "services/web");
  const auto entries = *tree->list("");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_EQ(entries[0].name, "Dockerfile");
  EXPECT_EQ(*read_file(*tree, "Dockerfile", 100), "FROM busybox\n");
  EXPECT_EQ(*tree->read_link("link"), "Dockerfile");
  EXPECT_EQ(tree->stat("")->type, FileType::directory);
  EXPECT_FALSE(tree->stat("a.txt"));
  EXPECT_FALSE(tree->stat("services"));
}

TEST(Subtree, SaysThatThereIsNoSuchFolder) {
  auto whole = std::make_shared<fakes::MemoryTree>();
  whole->add_file("web/a.txt", "");
  whole->add_symlink("link", "web");
  for (const char* folder : {"api", "web/a.txt", "web/a.txt/x", "link", "link/x"}) {
    const auto tree = make_subtree(whole, folder);
    ASSERT_FALSE(tree) << folder;
    EXPECT_EQ(tree.error().kind, ErrorKind::not_found) << folder;
    EXPECT_EQ(tree.error().customer,
              "There is no folder '" + std::string(folder) + "' in this commit");
  }
}

}  // namespace
}  // namespace builder::ports
