#include "adapters/git/submodules.hpp"

#include <gtest/gtest.h>

#include <string>

namespace builder::adapters::git {
namespace {

const Account k_account{
    .endpoint = {.scheme = "https", .host = "h.test", .port = 443},
    .base = "https://h.test",
};
constexpr const char* k_repository = "https://h.test/group/app.git";

TEST(SubmoduleUrl, IsResolvedAsGitDoes) {
  const std::pair<const char*, const char*> table[] = {
      {"../lib.git", "https://h.test/group/lib.git"},
      {"../lib.git/", "https://h.test/group/lib.git"},
      {"../../other/lib.git", "https://h.test/other/lib.git"},
      {"../../lib.git", "https://h.test/lib.git"},
      {"./lib", "https://h.test/group/app.git/lib"},
      {".././lib", "https://h.test/group/lib"},
      {"https://other.test/x.git", "https://other.test/x.git"},
      {"http://other.test:8080/x.git", "http://other.test:8080/x.git"},
      {"https://h.test/x/", "https://h.test/x"},
  };
  for (const auto& [url, expected] : table) {
    EXPECT_EQ(resolve_submodule(k_repository, url, k_account).url, expected) << url;
  }
}

TEST(SubmoduleUrl, OfSshAndGitBecomesHttp) {
  const std::pair<const char*, const char*> table[] = {
      {"git@h.test:group/lib.git", "https://h.test/group/lib.git"},
      {"H.test:group/lib.git", "https://h.test/group/lib.git"},
      {"org-1@h.test:/group/lib", "https://h.test/group/lib"},
      {"ssh://git@h.test/group/lib.git", "https://h.test/group/lib.git"},
      {"ssh://git@h.test:2222/group/lib.git", "https://h.test/group/lib.git"},
      {"ssh://h.test/~me/lib.git", "https://h.test/~me/lib.git"},
      {"git+ssh://git@h.test/group/lib.git", "https://h.test/group/lib.git"},
      {"git://h.test:9418/group/lib.git", "https://h.test/group/lib.git"},
      {"git@other.test:x/y.git", "https://other.test/x/y.git"},
      {"git://other.test/x/y", "https://other.test/x/y"},
  };
  for (const auto& [url, expected] : table) {
    const auto source = resolve_submodule(k_repository, url, k_account);
    EXPECT_EQ(source.url, expected) << url;
    EXPECT_TRUE(source.username.empty() && source.password.empty()) << url;
  }
}

TEST(SubmoduleUrl, OfTheAccountsHostIsPutBehindTheProvidersAddress) {
  const Account account{.endpoint = {.scheme = "http", .host = "h.test", .port = 8080},
                        .base = "http://h.test:8080/git"};
  for (const char* url : {"git@h.test:team/lib.git", "ssh://git@h.test:22/team/lib.git",
                          "git://h.test/git/team/lib.git", "ssh://h.test/git/team/lib.git"}) {
    EXPECT_EQ(resolve_submodule("http://h.test:8080/git/team/app.git", url, account).url,
              "http://h.test:8080/git/team/lib.git")
        << url;
  }
}

TEST(SubmoduleUrl, CredentialsInItAreTakenOut) {
  auto source = resolve_submodule(k_repository, "https://alice@h.test/x.git", k_account);
  EXPECT_EQ(source.url, "https://h.test/x.git");
  EXPECT_EQ(source.username, "alice");
  source =
      resolve_submodule(k_repository, "https://al%40ice:p%3A%25x@o.test:8443/x.git", k_account);
  EXPECT_EQ(source.url, "https://o.test:8443/x.git");
  EXPECT_EQ(source.username, "al@ice");
  EXPECT_EQ(source.password.reveal(), "p:%x");
  source = resolve_submodule(k_repository, "https://h.test@evil.test/x.git", k_account);
  EXPECT_EQ(source.url, "https://evil.test/x.git");
}

TEST(SubmoduleUrl, RefusesEverythingElse) {
  for (const char* url : {"",
                          "lib",
                          "/etc",
                          "-u./x",
                          "file:///etc",
                          "ext::sh -c x",
                          "ext::x",
                          "ssh://-oProxyCommand=x/y",
                          "-oProxyCommand=x:y",
                          "git@h.test:-x",
                          "git@h.test:../x",
                          "git@h.test:a/../../x",
                          "git@h_\\x:y",
                          "ssh://git@h.test",
                          "C:\\x",
                          "../../../x",
                          "../a/../../x",
                          "../..",
                          "../",
                          "../..//x",
                          "https://h/x\n",
                          "https://h/x y",
                          "https://h/../x",
                          "https://h\\@e/x",
                          "https://u%3Ax@h/x",
                          "https://u%0Ax@h/x",
                          "https://h/x?y",
                          "https://h/x#y",
                          "https://h/x\r",
                          "HTTPS://h/x",
                          "https://"}) {
    const auto source = resolve_submodule(k_repository, url, k_account);
    EXPECT_EQ(source.url, "") << url;
    EXPECT_NE(source.refused, "") << url;
  }
}

using std::string_view_literals::operator""sv;

TEST(SubmoduleUrls, ComeByPathWhateverTheName) {
  constexpr std::string_view k_listed(
      "submodule.a.path\nlibs/a\0submodule.a.url\n../a.git\0submodule.a.update\nnone\0"
      "submodule.../../x.y.path\nlibs/b\0submodule.../../x.y.url\nhttps://h/b\0core.x\0broken\n\0"sv);
  const auto modules = parse_submodules(k_listed);
  EXPECT_EQ(modules.at("libs/a").url, "../a.git");
  EXPECT_TRUE(modules.at("libs/a").skipped);
  EXPECT_EQ(modules.at("libs/b").url, "https://h/b");
  EXPECT_FALSE(modules.at("libs/b").skipped);
  EXPECT_EQ(modules.size(), 2U);
}

}  // namespace
}  // namespace builder::adapters::git
