// What every source tree promises, kept by the fake, by the trees of git (its objects, and files on
// disk), and by an overlay on each.
#include "adapters/git/disk_tree.hpp"
#include "adapters/git/source_fetcher.hpp"
#include "base/fd.hpp"
#include "fakes/fake_steps.hpp"
#include "fakes/memory_tree.hpp"
#include "fakes/recording_events.hpp"
#include "ports/overlay_tree.hpp"

#include "contract/git/git_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace builder {
namespace {

using ports::FileType;
using ports::SourceTree;
using testing::ElementsAre;
using testing::IsEmpty;

/// One file of the tree under test.
struct Entry {
  FileType type;
  std::string path;
  std::string content;  ///< Of a link, its target.
  bool executable = false;
};

std::string large_content() {
  std::string content;
  while (content.size() < 300'000) {
    content += std::to_string(content.size()) + "\n";
  }
  return content;
}

const std::vector<Entry>& entries() {
  using enum FileType;
  static const std::vector<Entry> all{
      {regular, "a", "from a"},
      {regular, "a-b", "sorts behind a"},
      {regular, "dir/B", "upper case first"},
      {regular, "dir/file", "content"},
      {regular, "dir/deep/er/leaf", "leaf"},
      {regular, "dir/.git/config", "hidden"},
      {regular, ".git/HEAD", "hidden"},
      {regular, ".gitignore", "shown"},
      {regular, "empty", ""},
      {regular, "large", large_content()},
      {regular, "run.sh", "#!", true},
      {regular, "new\nline \xff", "odd name"},
      {symlink, "to-file", "dir/file"},
      {symlink, "to-dir", "dir"},
      {symlink, "dir/up", "../a"},
      {symlink, "dir/deep/round", "../../to-dir/deep/er"},
      {symlink, "to-link", "to-file"},
      {symlink, "out", "../outside"},
      {symlink, "dir/out", "../../outside"},
      {symlink, "absolute", "/etc/passwd"},
      {symlink, "dir-out", "/proc/self/root/etc"},
      {symlink, "loop", "loop"},
      {symlink, "nowhere", "none"},
      {other, "pipe", ""},
      {other, "dir/socket", ""},
  };
  return all;
}

std::shared_ptr<const SourceTree> memory() {
  auto tree = std::make_shared<fakes::MemoryTree>();
  for (const Entry& entry : entries()) {
    switch (entry.type) {
      case FileType::regular:
        tree->add_file(entry.path, entry.content, entry.executable ? 0755 : 0644);
        break;
      case FileType::symlink:
        tree->add_symlink(entry.path, entry.content);
        break;
      default:
        tree->add_other(entry.path);
    }
  }
  return tree;
}

void make_socket(const std::string& path) {
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
  EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
}

void write_files(const std::string& root, bool only_what_git_keeps) {
  for (const Entry& entry : entries()) {
    if (only_what_git_keeps && (entry.type == FileType::other || entry.path.contains(".git/"))) {
      continue;
    }
    const std::string path = root + "/" + entry.path;
    EXPECT_TRUE(make_directories(path.substr(0, path.rfind('/'))));
    if (entry.type == FileType::regular) {
      std::ofstream(path) << entry.content;
      EXPECT_EQ(::chmod(path.c_str(), entry.executable ? 0700 : 0600), 0);
    } else if (entry.type == FileType::symlink) {
      EXPECT_EQ(::symlink(entry.content.c_str(), path.c_str()), 0);
    } else if (entry.path == "pipe") {
      EXPECT_EQ(::mkfifo(path.c_str(), 0600), 0);
    } else {
      make_socket(path);
    }
  }
}

std::shared_ptr<const SourceTree> disk() {
  TempDir folder = *TempDir::make("/tmp", "tree-");
  const std::string root = folder.path() + "/tree";
  std::ofstream(folder.path() + "/outside") << "secret of the host";
  write_files(root, false);
  return *adapters::git::make_disk_tree(std::move(folder), root, {});
}

/// A person's own folder.
std::shared_ptr<const SourceTree> folder() {
  static const TempDir folder = [] {
    TempDir made = *TempDir::make("/tmp", "tree-");
    std::ofstream(made.path() + "/outside") << "secret of the host";
    write_files(made.path() + "/tree", false);
    return made;
  }();
  return *adapters::git::make_folder_tree(folder.path() + "/tree");
}

/// Straight from a repository's objects, as the fetcher gives it.
std::shared_ptr<const SourceTree> objects() {
  static const test::GitServer server;
  static const TempDir work = *TempDir::make("/tmp", "work-");
  static const auto fetcher =
      *adapters::git::make_source_fetcher({.work_dir = work.path(),
                                           .builds_dir = work.path() + "/builds",
                                           .policy = adapters::git::NetworkPolicy::any});
  static const bool made = [] {
    const TempDir folder = *TempDir::make("/tmp", "tree-");
    write_files(folder.path(), true);
    server.shell(
        "git init -q --bare $R/app.git; cd " + folder.path() +
        "; git init -q -b main .; git add -A; git commit -qm x; git push -q $R/app.git main");
    return true;
  }();
  EXPECT_TRUE(made);
  domain::SourceSpec spec;
  spec.url = server.url("private", "app");
  spec.username = test::GitServer::k_user;
  spec.password = Secret(test::GitServer::k_password);
  spec.branch = "main";
  spec.service_id = domain::ServiceId("s1");
  fakes::RecordingEvents events;
  auto fetched = fetcher->fetch({}, spec, events);
  if (!fetched) {
    ADD_FAILURE() << fetched.error().message;
    return memory();
  }
  return std::move(fetched->tree);
}

std::shared_ptr<const SourceTree> overlaid(std::shared_ptr<const SourceTree> base) {
  return ports::make_overlay_tree(std::move(base), {{"a", "from a"}, {"empty", ""}});
}

struct Kind {
  const char* name;
  std::shared_ptr<const SourceTree> (*make)();
  bool has_others = true;  ///< git keeps no pipes and sockets.
};

class SourceTreeTest : public testing::TestWithParam<Kind> {
 protected:
  [[nodiscard]] std::vector<std::string> names(std::string_view path) const {
    std::vector<std::string> all;
    const auto listed = tree_->list(path);
    if (!listed) {
      return {"error: " + listed.error().message};
    }
    for (const auto& entry : *listed) {
      if (entry.info.type != FileType::other) {
        all.push_back(entry.name);
      }
    }
    return all;
  }

  [[nodiscard]] std::string content(std::string_view path) const {
    const auto read = ports::read_file(*tree_, path, 1u << 20);
    return read ? *read : "error: " + read.error().message;
  }

  std::shared_ptr<const SourceTree> tree_ = GetParam().make();
};

TEST_P(SourceTreeTest, ListsSortedBytewiseWithoutGitAtAnyLevel) {
  EXPECT_THAT(names(""), ElementsAre(".gitignore", "a", "a-b", "absolute", "dir", "dir-out",
                                     "empty", "large", "loop", "new\nline \xff", "nowhere", "out",
                                     "run.sh", "to-dir", "to-file", "to-link"));
  EXPECT_THAT(names("dir"), ElementsAre("B", "deep", "file", "out", "up"));
  EXPECT_THAT(names("to-dir/deep"), ElementsAre("er", "round"));
  EXPECT_THAT(names("dir/deep/round"), ElementsAre("leaf"));
}

TEST_P(SourceTreeTest, ListingAndStatTellTheSame) {
  for (const char* folder : {"", "dir", "dir/deep"}) {
    const auto listed = tree_->list(folder);
    ASSERT_TRUE(listed);
    for (const auto& entry : *listed) {
      const auto info =
          tree_->stat(std::string(folder) + (*folder == '\0' ? "" : "/") + entry.name);
      ASSERT_TRUE(info) << entry.name;
      EXPECT_EQ(info->type, entry.info.type) << entry.name;
      EXPECT_EQ(info->size, entry.info.size) << entry.name;
      EXPECT_EQ(info->permissions, entry.info.permissions) << entry.name;
      EXPECT_EQ(info->content, entry.info.content) << entry.name;
    }
  }
}

TEST_P(SourceTreeTest, TellsEveryEntryAsItIs) {
  for (const Entry& entry : entries()) {
    const auto info = tree_->stat(entry.path);
    if (entry.path.contains(".git/")) {
      EXPECT_EQ(info.error().kind, ErrorKind::not_found) << entry.path;
      continue;
    }
    if (entry.type == FileType::other && !GetParam().has_others) {
      continue;
    }
    ASSERT_TRUE(info) << entry.path;
    EXPECT_EQ(info->type, entry.type) << entry.path;
    if (entry.type == FileType::regular) {
      EXPECT_EQ(info->size, entry.content.size()) << entry.path;
      EXPECT_EQ(info->permissions, entry.executable ? 0755u : 0644u) << entry.path;
      EXPECT_EQ(content(entry.path), entry.content);
    } else if (entry.type == FileType::symlink) {
      EXPECT_EQ(info->size, entry.content.size()) << entry.path;
      EXPECT_EQ(*tree_->read_link(entry.path), entry.content);
    }
  }
  EXPECT_EQ(tree_->stat("")->type, FileType::directory);
}

TEST_P(SourceTreeTest, FollowsLinksThatStayInside) {
  EXPECT_EQ(content("to-file"), "content");
  EXPECT_EQ(content("to-link"), "content");
  EXPECT_EQ(content("to-dir/up"), "from a");
  EXPECT_EQ(content("dir/deep/round/leaf"), "leaf");
}

TEST_P(SourceTreeTest, NeverLeavesTheTree) {
  for (const char* path : {"out", "dir/out", "to-dir/out", "absolute", "dir-out/passwd", "loop",
                           "../outside", "dir/../../outside", "/etc/passwd"}) {
    const auto opened = tree_->open(path);
    ASSERT_FALSE(opened) << path;
    EXPECT_EQ(opened.error().kind, ErrorKind::denied) << path << ": " << opened.error().message;
    EXPECT_FALSE(tree_->list(path)) << path;
  }
  EXPECT_EQ(tree_->list("dir-out").error().kind, ErrorKind::denied);
  EXPECT_FALSE(tree_->read_link("dir-out/localtime"));
  EXPECT_FALSE(tree_->stat("dir-out/passwd"));
  EXPECT_FALSE(tree_->stat("../outside"));
}

TEST_P(SourceTreeTest, WhatIsNotThereIsNotFound) {
  for (const char* path :
       {"none", "dir/none", "none/x", ".git", ".git/HEAD", "dir/.git/config", "to-dir/.git"}) {
    EXPECT_EQ(tree_->stat(path).error().kind, ErrorKind::not_found) << path;
    EXPECT_EQ(tree_->open(path).error().kind, ErrorKind::not_found) << path;
    EXPECT_EQ(tree_->list(path).error().kind, ErrorKind::not_found) << path;
    EXPECT_EQ(tree_->read_link(path).error().kind, ErrorKind::not_found) << path;
  }
  EXPECT_EQ(tree_->open("nowhere").error().kind, ErrorKind::not_found);
  EXPECT_FALSE(tree_->open("a/below-a-file"));
}

TEST_P(SourceTreeTest, OpensRegularFilesOnlyAndNeverWaits) {
  for (const std::string path : {"", "dir", "to-dir", "pipe", "dir/socket"}) {
    if ((path == "pipe" || path == "dir/socket") && !GetParam().has_others) {
      continue;
    }
    const auto opened = tree_->open(path);
    ASSERT_FALSE(opened) << path;
    EXPECT_EQ(opened.error().kind, ErrorKind::invalid_input)
        << path << ": " << opened.error().message;
  }
  for (const char* path : {"a", "dir", ""}) {
    EXPECT_EQ(tree_->read_link(path).error().kind, ErrorKind::invalid_input) << path;
  }
  for (const char* path : {"a", "pipe", "to-file"}) {
    EXPECT_FALSE(tree_->list(path)) << path;
  }
}

TEST_P(SourceTreeTest, ReadsInPiecesToTheEnd) {
  const auto reader = *tree_->open("large");
  std::string all;
  std::array<std::byte, 1'000> buffer{};
  for (;;) {
    const std::size_t count = *reader->read(buffer);
    if (count == 0) {
      break;
    }
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
    all.append(reinterpret_cast<const char*>(buffer.data()), count);
  }
  EXPECT_EQ(all, large_content());
  EXPECT_EQ(*reader->read(buffer), 0u);
  EXPECT_EQ(ports::read_file(*tree_, "large", 1'000).error().kind, ErrorKind::invalid_input);
}

TEST_P(SourceTreeTest, IsReadByManyThreadsAtOnce) {
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        EXPECT_EQ(content("to-dir/file"), "content");
        EXPECT_EQ(names("dir").size(), 5u);
      }
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Trees, SourceTreeTest,
                         testing::Values(Kind{"fake", memory}, Kind{"disk", disk},
                                         Kind{"folder", folder}, Kind{"objects", objects, false},
                                         Kind{"overlay_on_fake", [] { return overlaid(memory()); }},
                                         Kind{"overlay_on_disk", [] { return overlaid(disk()); }},
                                         Kind{"overlay_on_objects",
                                              [] { return overlaid(objects()); }, false}),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace builder
