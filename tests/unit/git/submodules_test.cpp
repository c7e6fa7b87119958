#include "adapters/git/submodules.hpp"

#include <gtest/gtest.h>

#include <string>

namespace builder::adapters::git {
namespace {

TEST(SubmoduleUrl, IsResolvedAsGitDoes) {
  constexpr const char* k_repository = "https://h.test/group/app.git";
  const std::pair<const char*, const char*> table[] = {
      {"../lib.git", "https://h.test/group/lib.git"},
      {"../../other/lib.git", "https://h.test/other/lib.git"},
      {"../../lib.git", "https://h.test/lib.git"},
      {"./lib", "https://h.test/group/app.git/lib"},
      {".././lib", "https://h.test/group/lib"},
      {"https://other.test/x.git", "https://other.test/x.git"},
      {"http://other.test:8080/x.git", "http://other.test:8080/x.git"},
  };
  for (const auto& [url, expected] : table) {
    EXPECT_EQ(resolve_submodule_url(k_repository, url), expected) << url;
  }
}

TEST(SubmoduleUrl, RefusesEverythingElse) {
  for (const char* url : {"",
                          "lib",
                          "/etc",
                          "-u./x",
                          "file:///etc",
                          "ssh://h/x",
                          "git@h:x/y",
                          "ext::sh -c x",
                          "git://h/x",
                          "../../../x",
                          "../a/../../x",
                          "../..",
                          "../",
                          "../..//x",
                          "https://u:p@h/x",
                          "https://h/x\n",
                          "https://h/x y",
                          "https://h/../x",
                          "https://h\\@e/x",
                          "https://h/x?y",
                          "https://h/x#y",
                          "https://h/x\r",
                          "HTTPS://h/x",
                          "https://"}) {
    EXPECT_EQ(resolve_submodule_url("https://h.test/group/app.git", url), "") << url;
  }
}

using std::string_view_literals::operator""sv;

TEST(SubmoduleUrls, ComeByPathWhateverTheName) {
  constexpr std::string_view k_listed(
      "submodule.a.path\nlibs/a\0submodule.a.url\n../a.git\0"
      "submodule.../../x.y.path\nlibs/b\0submodule.../../x.y.url\nhttps://h/b\0core.x\0broken\n\0"sv);
  const auto urls = parse_submodule_urls(k_listed);
  EXPECT_EQ(urls.at("libs/a"), "../a.git");
  EXPECT_EQ(urls.at("libs/b"), "https://h/b");
  EXPECT_EQ(urls.size(), 2U);
}

}  // namespace
}  // namespace builder::adapters::git
