#include "adapters/host/folder_sink.hpp"

#include "base/temp_dir.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace builder::adapters::host {
namespace {

struct Entry {
  std::string name;
  char type = '0';
  std::string content = {};
  std::string link = {};
  unsigned mode = 0644;
};

std::string padded(std::string text) {
  text.resize((text.size() + 511) / 512 * 512, '\0');
  return text;
}

/// As POSIX writes it; what does not fit stands in a pax header before it.
std::string entry(const Entry& wanted) {
  std::string pax;
  const auto record = [&pax](std::string_view key, std::string_view value) {
    std::size_t length = key.size() + value.size() + 3;
    length += std::to_string(length + std::to_string(length).size()).size();
    pax += fmt::format("{} {}={}\n", length, key, value);
  };
  if (wanted.name.size() > 100) {
    record("path", wanted.name);
  }
  if (wanted.link.size() > 100) {
    record("linkpath", wanted.link);
  }
  std::string tar = pax.empty() ? "" : entry({.name = "pax", .type = 'x', .content = pax});
  std::string header(512, '\0');
  const auto put = [&header](std::size_t at, std::string_view text) {
    header.replace(at, text.size(), text);
  };
  put(0, std::string_view(wanted.name).substr(0, 100));
  put(100, fmt::format("{:07o}", wanted.mode));
  put(124, fmt::format("{:011o}", wanted.content.size()));
  put(136, fmt::format("{:011o}", 1'000'000'000));
  put(148, "        ");
  header[156] = wanted.type;
  put(157, std::string_view(wanted.link).substr(0, 100));
  put(257, std::string_view("ustar\0"
                            "00",
                            8));
  unsigned sum = 0;
  for (const char c : header) {
    sum += static_cast<unsigned char>(c);
  }
  put(148, fmt::format("{:06o}", sum));
  header[154] = '\0';
  return tar + header + padded(wanted.content);
}

std::string tar_of(const std::vector<Entry>& entries) {
  std::string tar;
  for (const Entry& one : entries) {
    tar += entry(one);
  }
  return tar + std::string(1024, '\0');
}

class FolderSinkTest : public ::testing::Test {
 protected:
  FolderSinkTest() : outer_(*TempDir::make(::testing::TempDir(), "sink-")) {
    std::ofstream(outer_.path() + "/outside") << "untouched";
  }

  Result<> unpack(const std::string& tar, std::size_t pieces = 1000) {
    BUILDER_TRY_ASSIGN(sink_, FolderSink::open(folder()));
    BUILDER_TRY(sink_->begin());
    for (std::size_t at = 0; at < tar.size(); at += pieces) {
      BUILDER_TRY(sink_->write(std::string_view(tar).substr(at, pieces)));
    }
    return sink_->finish();
  }

  [[nodiscard]] std::string folder() const { return outer_.path() + "/folder"; }

  [[nodiscard]] std::string content(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(folder() + "/" + name).rdbuf();
    return text.str();
  }

  [[nodiscard]] bool nothing_outside() const {
    std::ostringstream text;
    text << std::ifstream(outer_.path() + "/outside").rdbuf();
    const std::filesystem::directory_iterator begin(outer_.path());
    return text.str() == "untouched" && std::distance(begin, {}) <= 2;
  }

  TempDir outer_;
  std::unique_ptr<FolderSink> sink_;
};

TEST_F(FolderSinkTest, UnpacksHoweverItIsCut) {
  const std::string deep = std::string(120, 'd') + "/" + std::string(120, 'f');
  const std::string tar = tar_of({{.name = "./", .type = '5', .mode = 0755},
                                  {.name = "etc/", .type = '5', .mode = 0700},
                                  {.name = "etc/passwd", .content = "root\n", .mode = 04755},
                                  {.name = "empty"},
                                  {.name = "/absolute", .content = std::string(5000, 'x')},
                                  {.name = "link", .type = '2', .link = "/etc/passwd"},
                                  {.name = "same", .type = '1', .link = "etc/passwd"},
                                  {.name = deep, .content = "deep"},
                                  {.name = "device", .type = '3'}});
  for (const std::size_t pieces : {std::size_t{1}, std::size_t{511}, std::size_t{100'000}}) {
    const auto unpacked = unpack(tar, pieces);
    ASSERT_TRUE(unpacked) << unpacked.error().message;
    EXPECT_EQ(content("etc/passwd"), "root\n");
    EXPECT_EQ(content("same"), "root\n");
    EXPECT_EQ(content("absolute"), std::string(5000, 'x'));
    EXPECT_EQ(content(deep), "deep");
    EXPECT_EQ(std::filesystem::read_symlink(folder() + "/link"), "/etc/passwd");
    struct stat status{};
    ASSERT_EQ(::stat((folder() + "/etc/passwd").c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0755U);
    EXPECT_EQ(status.st_mtim.tv_sec, 1'000'000'000);
    EXPECT_FALSE(std::filesystem::exists(folder() + "/device"));
    EXPECT_EQ(sink_->passed_over(), 1U);
    EXPECT_EQ(sink_->size(), 5009U);
  }
}

TEST_F(FolderSinkTest, NoNameLeadsOut) {
  for (const char* name : {"../outside", "a/../../outside", "..", "x/.."}) {
    EXPECT_EQ(unpack(tar_of({{.name = name, .content = "evil"}})).error().kind,
              ErrorKind::invalid_input)
        << name;
  }
  for (const char* link : {"../outside", "/../outside", "a/../../outside"}) {
    EXPECT_FALSE(unpack(tar_of({{.name = "hard", .type = '1', .link = link}}))) << link;
  }
  EXPECT_TRUE(nothing_outside());
}

TEST_F(FolderSinkTest, NothingIsWrittenThroughALinkOfTheTar) {
  for (const std::string& target : std::vector<std::string>{"..", outer_.path(), "/tmp"}) {
    const auto through = unpack(tar_of({{.name = "way", .type = '2', .link = target},
                                        {.name = "way/outside", .content = "evil"}}));
    ASSERT_FALSE(through);
    EXPECT_EQ(through.error().kind, ErrorKind::invalid_input) << through.error().message;
    EXPECT_FALSE(unpack(
        tar_of({{.name = "way", .type = '2', .link = target}, {.name = "way/new/", .type = '5'}})));
    EXPECT_FALSE(unpack(tar_of({{.name = "way", .type = '2', .link = target},
                                {.name = "hard", .type = '1', .link = "way/outside"}})));
  }
  // A file of a link's name takes its place.
  EXPECT_TRUE(unpack(tar_of(
      {{.name = "file", .type = '2', .link = "../outside"}, {.name = "file", .content = "mine"}})));
  EXPECT_EQ(content("file"), "mine");
  // A folder of its name does not.
  EXPECT_FALSE(unpack(tar_of(
      {{.name = "dir", .type = '2', .link = ".."}, {.name = "dir/", .type = '5', .mode = 0777}})));
  EXPECT_TRUE(nothing_outside());
}

TEST_F(FolderSinkTest, NothingIsWrittenThroughALinkThatWasThere) {
  ASSERT_TRUE(unpack(tar_of({})));
  ASSERT_EQ(::symlink("..", (folder() + "/way").c_str()), 0);
  ASSERT_EQ(::symlink("../outside", (folder() + "/file").c_str()), 0);
  EXPECT_FALSE(unpack(tar_of({{.name = "way/outside", .content = "evil"}})));
  EXPECT_TRUE(unpack(tar_of({{.name = "file", .content = "mine"}})));
  EXPECT_TRUE(nothing_outside());
}

TEST_F(FolderSinkTest, AHardLinkToALinkIsTheLink) {
  ASSERT_TRUE(unpack(tar_of({{.name = "link", .type = '2', .link = "../outside"},
                             {.name = "hard", .type = '1', .link = "link"},
                             {.name = "hard", .content = "mine"}})));
  EXPECT_EQ(content("hard"), "mine");
  EXPECT_TRUE(nothing_outside());
}

TEST_F(FolderSinkTest, WhatIsNoTarIsSaid) {
  const std::string tar = tar_of({{.name = "a", .content = "1"}});
  std::string damaged = tar;
  damaged[0] = 'b';
  EXPECT_FALSE(unpack(damaged));
  EXPECT_FALSE(unpack(tar.substr(0, 700)));
  EXPECT_FALSE(unpack(std::string(512, 'x')));
  EXPECT_FALSE(unpack(""));
  EXPECT_FALSE(unpack(tar_of({{.name = "pax", .type = 'x', .content = "9999 path=x\n"}})));
  EXPECT_FALSE(unpack(tar_of({{.name = "pax", .type = 'x', .content = "nonsense"}})));
}

TEST_F(FolderSinkTest, TheLastPaxHeaderCountsAndNoneIsKept) {
  ASSERT_TRUE(unpack(tar_of({{.name = "pax", .type = 'x', .content = "14 path=first\n"},
                             {.name = "pax", .type = 'x', .content = "11 other=x\n"},
                             {.name = "own", .content = "1"}})));
  EXPECT_EQ(content("own"), "1");
}

TEST_F(FolderSinkTest, FoldersKeepTheStickyBitAndNoOther) {
  ASSERT_TRUE(unpack(tar_of({{.name = "tmp", .type = '5', .mode = 07777},
                             {.name = "file", .content = "1", .mode = 07755}})));
  struct stat status{};
  ASSERT_EQ(::stat((folder() + "/tmp").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 01777U);
  ASSERT_EQ(::stat((folder() + "/file").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777U, 0755U);
}

TEST_F(FolderSinkTest, BeginsAgainInAFolderThatHasSome) {
  ASSERT_TRUE(unpack(tar_of({{.name = "a", .content = "old"}, {.name = "b", .content = "kept"}})));
  const auto sink = *FolderSink::open(folder());
  ASSERT_TRUE(sink->begin());
  ASSERT_TRUE(sink->write(entry({.name = "a", .content = "lost"}).substr(0, 514)));
  ASSERT_TRUE(sink->begin());
  ASSERT_TRUE(sink->write(tar_of({{.name = "a", .content = "new"}})));
  EXPECT_TRUE(sink->finish());
  EXPECT_EQ(content("a"), "new");
  EXPECT_EQ(content("b"), "kept");
}

}  // namespace
}  // namespace builder::adapters::host
