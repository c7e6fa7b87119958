#include "app/cli/build_output.hpp"

#include "base/temp_dir.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace builder::app::cli {
namespace {

std::string content(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::size_t entries(const std::string& folder) {
  const std::filesystem::directory_iterator begin(folder);
  return static_cast<std::size_t>(std::distance(begin, {}));
}

TEST(BuildOutput, IsReadAsBuildxWritesIt) {
  EXPECT_EQ(parse_output("type=oci,dest=a.tar")->type, OutputType::oci);
  EXPECT_EQ(parse_output("type=docker,dest=a.tar")->type, OutputType::docker);
  const auto tar = parse_output("dest=/x=y,type=tar");
  EXPECT_EQ(tar->type, OutputType::tar);
  EXPECT_EQ(tar->destination, "/x=y");
  EXPECT_EQ(parse_output("out")->type, OutputType::local);
  EXPECT_EQ(parse_output("out")->destination, "out");
  EXPECT_EQ(parse_output("-")->type, OutputType::tar);
  for (const char* text : {"-", "type=oci,dest=-", "dest=-,type=oci"}) {
    EXPECT_TRUE(parse_output(text)->is_stdout()) << text;
  }
  EXPECT_FALSE(parse_output("type=oci,dest=x-")->is_stdout());
}

TEST(BuildOutput, SaysWhatIsWrongWithIt) {
  for (const auto& [text, word] :
       {std::pair("", "type"), std::pair("oci,dest=x", "NAME=VALUE"), std::pair("dest=x", "type"),
        std::pair("type=iso,dest=x", "type"), std::pair("type=oci", "dest"),
        std::pair("type=oci,dest=", "dest"), std::pair("type=local,dest=-", "folder"),
        std::pair("type=oci,dest=x,push=true", "push")}) {
    const auto parsed = parse_output(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find(word), std::string::npos) << parsed.error().message;
  }
}

TEST(BuildOutput, GetsItsNameWhenAllOfItIsThere) {
  const TempDir folder = *TempDir::make(::testing::TempDir(), "output-");
  const std::string path = folder.path() + "/image.tar";
  std::ofstream(path) << "the last one";
  {
    const auto file = *open_output({.type = OutputType::oci, .destination = path});
    EXPECT_TRUE(file->sink().begin());
    EXPECT_TRUE(file->sink().write("half of"));
    EXPECT_EQ(entries(folder.path()), 1U);
    EXPECT_EQ(content(path), "the last one");
  }
  EXPECT_EQ(content(path), "the last one");
  EXPECT_EQ(entries(folder.path()), 1U);
  const auto file = *open_output({.type = OutputType::oci, .destination = path});
  EXPECT_TRUE(file->sink().write("an attempt that was lost"));
  EXPECT_TRUE(file->sink().begin());
  EXPECT_TRUE(file->sink().write("all of it"));
  EXPECT_TRUE(file->keep());
  EXPECT_EQ(content(path), "all of it");
  EXPECT_EQ(file->size(), 9U);
  EXPECT_EQ(entries(folder.path()), 1U);
}

TEST(BuildOutput, IsNeverALinkSomebodyPutThere) {
  const TempDir folder = *TempDir::make(::testing::TempDir(), "output-");
  const std::string path = folder.path() + "/image.tar";
  const std::string other = folder.path() + "/other";
  std::ofstream(other) << "not to be touched";
  std::filesystem::create_symlink(other, path);
  const auto file = *open_output({.type = OutputType::oci, .destination = path});
  EXPECT_TRUE(file->sink().write("new"));
  EXPECT_TRUE(file->keep());
  EXPECT_EQ(content(other), "not to be touched");
  EXPECT_EQ(content(path), "new");
}

TEST(BuildOutput, SaysWhyItCannotBe) {
  const TempDir folder = *TempDir::make(::testing::TempDir(), "output-");
  EXPECT_EQ(open_output({.type = OutputType::tar, .destination = folder.path()}).error().kind,
            ErrorKind::invalid_input);
  EXPECT_EQ(
      open_output({.type = OutputType::tar, .destination = folder.path() + "/none/x"}).error().kind,
      ErrorKind::not_found);
}

}  // namespace
}  // namespace builder::app::cli
