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
        std::pair("https://h/o/r#main:web", "#REF:")}) {
    const auto parsed = parse_git_address(address);
    ASSERT_FALSE(parsed) << address;
    EXPECT_NE(parsed.error().message.find(word), std::string::npos) << parsed.error().message;
    EXPECT_EQ(parsed.error().message.find("s3cret"), std::string::npos);
  }
}

}  // namespace
}  // namespace builder::app::cli
