#include "fixture.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>

namespace builder::test {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* k_attributes =
    "echo '*.bin filter=lfs diff=lfs merge=lfs -text' > .gitattributes; ";

class LargeFiles : public GitContract {
 protected:
  /// Keeps a content at the server (of all services it has) and gives the pointer's text for
  /// printf.
  static std::string pointer(const GitServer& server, const std::string& content,
                             bool pushed = true) {
    return server.shell(
        "printf '" + content + "' > big; OID=$(sha256sum big | cut -d' ' -f1); " +
        (pushed ? "cp big ../lfs/$OID; " : "") +
        "printf 'version https://git-lfs.github.com/spec/v1\\\\noid sha256:%s\\\\nsize " +
        std::to_string(content.size()) + "\\\\n' $OID");
  }

  /// A repository whose big.bin is kept by LFS.
  void make_large(const std::string& name, bool pushed = true, const std::string& more = "true") {
    make_repository(name);
    commit(name, k_attributes + ("printf '" + pointer(server_, "large content", pushed)) +
                     "' > big.bin; " + more);
  }

  void set_faults(const nlohmann::json& faults) const {
    std::ofstream(server_.root() + "/lfs_faults") << faults.dump();
  }
};

TEST_F(LargeFiles, ComeFromLfs) {
  make_large(
      "app", true,
      "mkdir d; cp big.bin d/same.bin; chmod +x d/same.bin; echo raw > raw.bin; : > empty.bin");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "big.bin"), "large content");
  EXPECT_EQ(read(*fetched, "d/same.bin"), "large content");
  EXPECT_EQ(fetched->tree->stat("d/same.bin")->permissions, 0755U);
  EXPECT_EQ(fetched->tree->stat("big.bin")->size, 13U);
  EXPECT_EQ(read(*fetched, "raw.bin"), "raw\n");
  EXPECT_EQ(read(*fetched, "empty.bin"), "");
  EXPECT_EQ(read(*fetched, "file"), "one\n");
  server_.requests();
  ASSERT_TRUE(fetch(spec("app", fetched->commit.str())));
  EXPECT_THAT(server_.requests(), IsEmpty()) << "they are kept beside the mirror";
}

TEST_F(LargeFiles, OfASubmoduleOfASubmodule) {
  make_large("inner");
  make_repository("outer");
  const auto add = [this](const std::string& to, const std::string& what) {
    server_.shell("cd " + to + "; git -c protocol.file.allow=always submodule add -q $R/" + what +
                  ".git sub; git config -f .gitmodules submodule.sub.url ../" + what +
                  ".git; git add -A; git commit -qm sub; git push -q o main");
  };
  add("outer", "inner");
  make_repository("app");
  add("app", "outer");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
  EXPECT_EQ(read(*fetched, "sub/sub/big.bin"), "large content");
  EXPECT_EQ(secrets_in_files(), "");
}

TEST_F(LargeFiles, ThatWereNotPushedAreNamed) {
  make_large("app", false);
  const auto fetched = fetch(spec("app"));
  ASSERT_FALSE(fetched);
  EXPECT_FALSE(fetched.error().is_transient());
  EXPECT_THAT(fetched.error().customer,
              AllOf(HasSubstr("LFS"), HasSubstr("big.bin"), HasSubstr("push")));
  EXPECT_EQ(secrets_in_files(), "");
}

TEST_F(LargeFiles, TroubleThatPassesIsTriedAgain) {
  const nlohmann::json troubles[] = {
      {{"batch", 503, ""}},
      {{"batch", 429, R"({"message":"slow down"})"}},
      {{"batch", 0, ""}},
      {{"object", 502, "<html>"}},
      {{"object", 0, ""}},
      {{"batch", 500, ""}, {"object", 503, ""}},
      {{"object", 200, "large contenT"}},
  };
  int number = 0;
  for (const auto& trouble : troubles) {
    SCOPED_TRACE(trouble.dump());
    const std::string name = "app" + std::to_string(number++);
    make_large(name);
    set_faults(trouble);
    const auto fetched = fetch(spec(name));
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_EQ(read(*fetched, "big.bin"), "large content");
  }
}

TEST_F(LargeFiles, TheServersOwnWordsAreTold) {
  make_large("app");
  const std::string quota = R"({"message":"This repository is over its data quota."})";
  const std::pair<nlohmann::json, const char*> refusals[] = {
      {{{"batch", 403, quota}}, "over its data quota"},
      {{{"batch", 509, quota}}, "over its data quota"},
      {{{"batch", 507, quota}}, "over its data quota"},
      {{{"batch", 422, R"({"message":"Locked for audit"})"}}, "Locked for audit"},
      {{{"object", 403, quota}}, "over its data quota"},
      {{{"batch", 200,
         R"({"objects":[{"oid":")" + server_.shell("sha256sum big | cut -c1-64") +
             R"(","error":{"code":410,"message":"Removed by the owner"}}]})"}},
       "Removed by the owner"},
      {{{"batch", 200, "<html>login</html>"}}, "does not answer as a Git LFS server"},
  };
  for (const auto& [faults, words] : refusals) {
    SCOPED_TRACE(faults.dump());
    set_faults(faults);
    const auto fetched = fetch(spec("app"));
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().kind, ErrorKind::denied);
    EXPECT_THAT(fetched.error().customer, AllOf(HasSubstr("LFS"), HasSubstr(words)));
    EXPECT_EQ(secrets_in_files(), "");
  }
}

TEST_F(LargeFiles, AnotherServerOfLfsconfigIsAskedWithoutTheCredentials) {
  GitServer other;
  pointer(other, "large content");
  make_large("app", false,
             "printf '[lfs]\\n url = " + other.origin() + "/public/lfs\\n' > .lfsconfig");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "big.bin"), "large content");
  EXPECT_THAT(lines_->events(), HasSubstr(".lfsconfig names another LFS server"));
  const auto requests = other.requests();
  EXPECT_THAT(requests, Not(IsEmpty()));
  EXPECT_THAT(requests, Each(Field(&Request::authorization, "-")));
}

TEST_F(LargeFiles, AServerOfLfsconfigThatCannotBeUsedIsTold) {
  const std::string config =
      "printf '[lfs]\\n url = https://lfs.example.invalid/team/app\\n' > .lfsconfig";
  make_large("kept", true, config);
  const auto kept = fetch(spec("kept"));
  ASSERT_TRUE(kept) << kept.error().message;
  EXPECT_EQ(read(*kept, "big.bin"), "large content");
  EXPECT_THAT(lines_->events(), HasSubstr("LFS server of .lfsconfig is ignored because"));
  make_repository("lost");
  commit("lost", k_attributes + ("printf '" + pointer(server_, "never pushed", false)) +
                     "' > big.bin; " + config);
  const auto lost = fetch(spec("lost"));
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().customer,
              AllOf(HasSubstr(".lfsconfig"), HasSubstr("lfs.example.invalid")));
}

TEST_F(LargeFiles, WhatLfsconfigExcludesStaysAPointer) {
  make_large("app", true,
             "mkdir -p a/b; cp big.bin a/b/x.bin; printf '[lfs]\\n fetchexclude = /a, *.iso\\n' > "
             ".lfsconfig");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "big.bin"), "large content");
  EXPECT_THAT(read(*fetched, "a/b/x.bin"), HasSubstr("oid sha256"));
}

TEST_F(LargeFiles, AreAskedForAtAllowedAddressesOnly) {
  GitServer other;
  pointer(other, "large content");
  std::ofstream(server_.root() + "/lfs_href") << other.origin() + "/public/lfs-object";
  make_large("app");
  const auto allowed = fetch(spec("app"));
  ASSERT_TRUE(allowed) << allowed.error().message;
  EXPECT_THAT(other.requests(), Each(Field(&Request::authorization, "-")));
  std::ofstream(server_.root() + "/lfs_href") << "http://169.254.169.254/latest";
  make_large("app2");
  const auto fetched = fetch(spec("app2"));
  // The same content is kept per service and repository: it is asked for again, and refused.
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::invalid_input);
  EXPECT_THAT(fetched.error().customer, HasSubstr("network policy"));
}

TEST_F(LargeFiles, RedirectedToAnotherHostGetNoCredentials) {
  GitServer other;
  pointer(other, "large content");
  std::ofstream(server_.root() + "/moved_to") << other.origin() + "/public";
  std::ofstream(server_.root() + "/lfs_href") << server_.origin() + "/moved/lfs-object";
  make_large("app");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "big.bin"), "large content");
  EXPECT_THAT(other.requests(), Each(Field(&Request::authorization, "-")));
}

TEST_F(LargeFiles, LogsThatGitLfsLeftAreRemovedAtTheStart) {
  make_large("app");
  ASSERT_TRUE(fetch(spec("app")));
  for (const auto& mirror : std::filesystem::directory_iterator(work_dir() + "/mirrors")) {
    if (mirror.is_directory()) {
      std::filesystem::create_directories(mirror.path() / "lfs/logs");
      std::ofstream(mirror.path() / "lfs/logs/1.log") << GitServer::k_password;
    }
  }
  EXPECT_NE(secrets_in_files(), "");
  fetcher_ = make_fetcher(adapters::git::NetworkPolicy::any);
  EXPECT_EQ(secrets_in_files(), "");
  server_.requests();
  ASSERT_TRUE(fetch(spec("app")));
}

}  // namespace
}  // namespace builder::test
