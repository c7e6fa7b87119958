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

TEST_F(Submodules, OfLongNamesAreNamedInWholeCharacters) {
  make_repository("app");
  std::string path = "x";
  std::string shown = path;
  for (int i = 0; i < 80; ++i) {
    path += "ä";
    shown += i < 58 ? "ä" : "";
  }
  commit_index("app", add(path, "", std::string(40, 'a')));
  ASSERT_TRUE(fetch(spec("app")));
  EXPECT_THAT(lines_->events(), HasSubstr("Submodule '" + shown + "…' has no URL"));
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
      {add("libs/gone", "file:///srv/git/lib.git", sha), "path on a disk"},
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

TEST_F(Submodules, ThatGitPassesByStayEmpty) {
  const std::string sha = make_repository("app");
  const std::pair<std::string, const char*> table[] = {
      {"mkdir -p sub; touch .gitmodules; git update-index --add --cacheinfo 160000," + sha + ",sub",
       "'sub' has no URL in .gitmodules"},
      {"mkdir -p sub; touch .gitmodules; git update-index --add --cacheinfo "
       "160000,1111111111111111111111111111111111111111,sub",
       "'sub' has no URL in .gitmodules"},
      {add("sub", "https://gone.invalid/x.git", sha) + "; echo '\tupdate = none' >> .gitmodules",
       "'sub' has update = none"},
  };
  for (const auto& [script, warning] : table) {
    SCOPED_TRACE(script);
    server_.shell("cd app; git reset -q --hard " + sha + "; rm -f .gitmodules; " + script +
                  "; git add .gitmodules; git commit -q -m Modules; git push -qf o main");
    const auto fetched = fetch(spec("app"));
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_EQ(read(*fetched, "file"), "one\n");
    EXPECT_EQ(fetched->tree->list("sub")->size(), 0U);
    EXPECT_THAT(lines_->events(), HasSubstr(warning));
  }
}

TEST_F(Submodules, OfOtherSchemesAreFetchedFromTheAccountsHost) {
  const std::string lib = make_repository("lib");
  make_repository("app");
  const std::string host = "127.0.0.1";
  int number = 0;
  std::string script = "true";
  for (const std::string& url :
       {"git@" + host + ":lib.git", "ssh://git@" + host + ":22/lib.git",
        "git://" + host + "/lib.git",
        "http://alice@" + host + ":" + server_.port() + "/private/lib.git",
        "http://alice:old-token@" + host + ":" + server_.port() + "/private/lib.git"}) {
    script += "; " + add("m" + std::to_string(number++), url, lib);
  }
  commit_index("app", script);
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
  for (int i = 0; i < number; ++i) {
    EXPECT_EQ(read(*fetched, "m" + std::to_string(i) + "/file"), "one\n");
  }
  EXPECT_EQ(secrets_in_files(), "");
}

TEST_F(Submodules, MayBeNestedDeeply) {
  std::string inner = make_repository("r0");
  for (int i = 1; i <= 12; ++i) {
    const std::string name = "r" + std::to_string(i);
    make_repository(name);
    inner = commit_index(name, add("s", "../r" + std::to_string(i - 1) + ".git", inner));
  }
  const auto fetched = fetch(spec("r12"));
  ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
  EXPECT_EQ(read(*fetched, "s/s/s/s/s/s/s/s/s/s/s/s/file"), "one\n");
}

TEST_F(Submodules, OfAnotherHostThatAsksForCredentialsAreTold) {
  GitServer other;
  const std::string lib = other.shell(
      "git init -q -b main lib; cd lib; echo other > file; git add -A; git commit -qm x; git clone "
      "-q --bare . $R/lib.git; git rev-parse HEAD");
  make_repository("app");
  const std::string url = "http://localhost:" + other.port() + "/private/lib.git";
  commit_index("app", add("lib", url, lib));
  const auto fetched = fetch(spec("app"));
  ASSERT_FALSE(fetched);
  EXPECT_THAT(fetched.error().customer,
              HasSubstr("'lib': localhost asks for credentials, and the account is for 127.0.0.1"));
  EXPECT_THAT(other.requests(), Each(Field(&Request::authorization, "-")));
  // With those of its own URL.
  server_.shell(
      "cd app; git config -f .gitmodules submodule.lib.url "
      "http://us%20er%40x:p%40ss%3A%20w%2Frd%25%26@localhost:" +
      other.port() + "/private/lib.git; git commit -qam url; git push -q o main");
  const auto open = fetch(spec("app"));
  ASSERT_TRUE(open) << open.error().message;
  EXPECT_EQ(read(*open, "lib/file"), "other\n");
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
