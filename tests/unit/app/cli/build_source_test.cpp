#include "app/cli/build_source.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace builder::app::cli {
namespace {

TEST(GitAddress, IsToldFromAFolder) {
  for (const char* address : {"https://h/o/r", "http://h/o/r.git#x", "ssh://h/r", "git@h:o/r"}) {
    EXPECT_TRUE(is_git_address(address)) << address;
  }
  for (const char* folder : {".", "web", "/srv/web", "https", "a@b"}) {
    EXPECT_FALSE(is_git_address(folder)) << folder;
  }
}

TEST(GitAddress, IsReadAsGitAndDockerDo) {
  const auto plain = *parse_git_address("https://github.com/shop/web.git");
  EXPECT_EQ(plain.provider.url, "https://github.com");
  EXPECT_EQ(plain.repository, "shop/web");
  EXPECT_EQ(plain.name(), "web");
  EXPECT_TRUE(plain.branch.empty() && plain.commit.empty() && plain.provider.username.empty());
  EXPECT_EQ(parse_git_address("http://h:8080/a/b/c/#release/1.2")->branch, "release/1.2");
  EXPECT_EQ(parse_git_address("http://h:8080/a/b/c/")->repository, "a/b/c");
  const std::string commit(40, 'a');
  EXPECT_EQ(parse_git_address("https://h/o/r#" + commit)->commit, commit);
  EXPECT_EQ(parse_git_address("https://h/o/r#abc1234")->branch, "abc1234");
  EXPECT_EQ(parse_git_address("https://h/o/r#bump/@types/x")->branch, "bump/@types/x");
  EXPECT_EQ(parse_git_address("https://me:pw@h/o/r#@shop/web")->branch, "@shop/web");
}

TEST(GitAddress, NamesAFolderOfTheRepository) {
  const auto both = *parse_git_address("https://h/o/r.git#release/1:/services//web/");
  EXPECT_EQ(both.branch, "release/1");
  EXPECT_EQ(both.folder, "services/web");
  EXPECT_EQ(both.name(), "web");
  const auto no_ref = *parse_git_address("https://h/o/r#:web");
  EXPECT_TRUE(no_ref.branch.empty() && no_ref.commit.empty());
  EXPECT_EQ(no_ref.folder, "web");
  const std::string commit(40, 'b');
  EXPECT_EQ(parse_git_address("https://h/o/r#" + commit + ":web")->commit, commit);
  for (const char* all : {"https://h/o/r#main:", "https://h/o/r#main:/", "https://h/o/r#main:."}) {
    EXPECT_EQ(parse_git_address(all)->folder, "") << all;
    EXPECT_EQ(parse_git_address(all)->name(), "r") << all;
  }
}

TEST(GitAddress, IsGuessedFromWhatIsNone) {
  EXPECT_EQ(address_meant("gitlab.com/shop/web"), "https://gitlab.com/shop/web");
  EXPECT_EQ(address_meant("git@github.com:shop/web.git"), "https://github.com/shop/web.git");
  EXPECT_EQ(address_meant("ssh://git@h.example:2222/shop/web"), "https://h.example/shop/web");
  for (const char* none : {"web", "./a.b/c", "../x.y/z", "web/x.y", "git@h:o/r", "a.b", "a.b/"}) {
    EXPECT_EQ(address_meant(none), "") << none;
  }
}

TEST(GitAddress, TakesTheLoginOutOfTheAddress) {
  const auto both = *parse_git_address("https://me:p%40ss@h/o/r");
  EXPECT_EQ(both.provider.url, "https://h");
  EXPECT_EQ(both.provider.username, "me");
  EXPECT_EQ(both.provider.password.reveal(), "p@ss");
  const auto token = *parse_git_address("https://t0ken@h/o/r");
  EXPECT_TRUE(token.provider.username.empty());
  EXPECT_EQ(token.provider.password.reveal(), "t0ken");
}

TEST(GitAddress, SaysWhatIsWrongWithoutThePassword) {
  for (const auto& [address, word] :
       {std::pair("ssh://me:s3cret@h/o/r", "https"), std::pair("git@h:o/r", "https"),
        std::pair("https://me:s3cret@h", "path"), std::pair("https://me:s3cret@h/", "path"),
        std::pair("https://me:s3cret/x@h/o/r", "%2F"),
        std::pair("https://me:s3cret#x@h/o/r", "%23"), std::pair("https://s3cret#x@h/o/r", "%23"),
        std::pair("https://me:s3cret/x#y@h/o/r", "%23"),
        std::pair("git@github.com:shop/web.git", "try https://github.com/shop/web.git"),
        std::pair("ssh://me:s3cret@git.example.com:2222/o/r", "try https://git.example.com/o/r"),
        std::pair("https://h/o/r#main:../x", "no folder"),
        std::pair("https://h/o/r#main:..", "no folder")}) {
    const auto parsed = parse_git_address(address);
    ASSERT_FALSE(parsed) << address;
    EXPECT_NE(parsed.error().message.find(word), std::string::npos) << parsed.error().message;
    EXPECT_EQ(parsed.error().message.find("s3cret"), std::string::npos);
  }
}

}  // namespace
}  // namespace builder::app::cli
