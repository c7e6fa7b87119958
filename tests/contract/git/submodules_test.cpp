#include "fixture.hpp"

#include <filesystem>

namespace builder::test {
namespace {

using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class Submodules : public GitContract {
 protected:
  /// Puts a submodule entry and its line of .gitmodules into the work folder.
  static std::string add(const std::string& path, const std::string& url,
                         const std::string& commit) {
    return "printf '[submodule \"%s\"]\\n\\tpath = %s\\n\\turl = %s\\n' '" + path + "' '" + path +
           "' '" + url + "' >> .gitmodules; mkdir -p '" + path +
           "'; git update-index --add --cacheinfo 160000," + commit + ",'" + path + "'";
  }

  /// Commits the index as it is: `git add -A` would drop submodules that are not checked out.
  std::string commit_index(const std::string& name, const std::string& script) {
    return server_.shell(
        "cd " + name + "; " + script +
        "; git add .gitmodules; git commit -q -m Modules; git push -q --all o; git rev-parse HEAD");
  }
};

TEST_F(Submodules, AreFetchedFromTheSameHostWithTheCredentials) {
  const std::string inner = make_repository("inner");
  const std::string lib = make_repository("lib");
  const std::string nested = commit_index("lib", add("deep/er", "../inner.git", inner));
  make_repository("app");
  commit_index("app", add("libs/lib", "../lib.git", nested) + "; " +
                          add("absolute", server_.url("private", "lib"), lib));
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
  EXPECT_EQ(read(*fetched, "file"), "one\n");
  EXPECT_EQ(read(*fetched, "libs/lib/file"), "one\n");
  EXPECT_EQ(read(*fetched, "libs/lib/deep/er/file"), "one\n");
  EXPECT_EQ(read(*fetched, "absolute/file"), "one\n");
  EXPECT_EQ(fetched->tree->stat("libs/lib/file")->content, fetched->tree->stat("file")->content);
  EXPECT_THAT(lines_->events(), HasSubstr("libs/lib"));
}

TEST_F(Submodules, OfAnotherHostGetNoCredentials) {
  GitServer other;
  const std::string lib = other.shell(
      "git init -q -b main lib; cd lib; echo other > file; git add -A; git commit -qm x; git clone "
      "-q --bare . $R/lib.git; git rev-parse HEAD");
  make_repository("app");
  commit_index("app", add("lib", other.url("public", "lib"), lib));
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "lib/file"), "other\n");
  const auto requests = other.requests();
  EXPECT_THAT(requests, Not(SizeIs(0)));
  EXPECT_THAT(requests, Each(Field(&Request::authorization, "-")));
}

TEST_F(Submodules, MayBeTheRepositoryItself) {
  const std::string first = make_repository("app");
  commit_index("app", add("self", "./../app.git", first));
  const auto started = std::chrono::steady_clock::now();
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "self/file"), "one\n");
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(10));
}

TEST_F(Submodules, ThatCannotBeFetchedAreNamed) {
  const std::string sha = make_repository("app");
  const std::pair<std::string, const char*> table[] = {
      {add("libs/gone", "../gone.git", sha), "not found"},
      {add("libs/gone", "../app.git", std::string(39, '1') + "2"), "not in this repository"},
      {"mkdir -p libs/gone; touch .gitmodules; git update-index --add --cacheinfo 160000," + sha +
           ",libs/gone",
       "no URL"},
  };
  for (const auto& [script, why] : table) {
    commit_index(
        "app", "git reset -q --hard " + sha + "; " + script + "; git push -qf o main:main || true");
    server_.shell("cd app; git push -qf o main");
    const auto fetched = fetch(spec("app"));
    ASSERT_FALSE(fetched) << script;
    EXPECT_THAT(fetched.error().customer, HasSubstr("'libs/gone'"));
    EXPECT_THAT(fetched.error().customer, HasSubstr(why));
    EXPECT_FALSE(fetched.error().is_transient());
  }
}

TEST_F(Submodules, HostileUrlsAreRefused) {
  const std::string sha = make_repository("app");
  const std::string canary = folder_.path() + "/canary";
  for (const std::string& url :
       {"file://" + server_.root() + "/repositories/app.git",
        server_.root() + "/repositories/app.git", "ext::sh -c touch% " + canary,
        std::string("-u./payload"), std::string("ssh://-oProxyCommand=touch/x"),
        std::string("http://169.254.169.254/x.git"), std::string("git@127.0.0.1:x/y.git")}) {
    SCOPED_TRACE(url);
    server_.shell("cd app; git reset -q --hard " + sha + "; " + add("m", url, sha) +
                  "; git add .gitmodules; git commit -q -m Modules; B=$(git rev-parse HEAD); git "
                  "push -qf o $B:refs/heads/evil");
    const auto fetched = fetch(spec("app", "", "evil"));
    ASSERT_FALSE(fetched);
    EXPECT_FALSE(fetched.error().customer.empty());
    EXPECT_FALSE(fetched.error().is_transient());
  }
  EXPECT_FALSE(std::filesystem::exists(canary));
}

}  // namespace
}  // namespace builder::test
