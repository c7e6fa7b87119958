#include "fixture.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
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
  EXPECT_TRUE(only_let_in()) << "they are kept beside the mirror";
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
    const auto fetched = fetch_as_a_run(spec(name));
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_EQ(read(*fetched, "big.bin"), "large content");
  }
}

TEST_F(LargeFiles, TheServersOwnWordsAreTold) {
  make_large("app");
  const std::string quota = R"({"message":"This repository is over its data quota."})";
  const std::string object =
      R"({"objects":[{"oid":")" + server_.shell("sha256sum big | cut -c1-64") + R"(",)";
  const std::pair<nlohmann::json, const char*> refusals[] = {
      {{{"batch", 403, quota}}, "over its data quota"},
      {{{"batch", 509, quota}}, "over its data quota"},
      {{{"batch", 507, quota}}, "over its data quota"},
      {{{"batch", 422, R"({"message":"Locked for audit"})"}}, "Locked for audit"},
      {{{"object", 403, quota}}, "over its data quota"},
      {{{"batch", 200, object + R"("error":{"code":410,"message":"Removed by the owner"}}]})"}},
       "Removed by the owner"},
      // An empty map, as PHP writes it.
      {{{"batch", 200, object + R"("actions":[]}]})"}}, "push it with Git LFS"},
      {{{"batch", 200, object + R"("actions":{"download":[]}}]})"}}, "push it with Git LFS"},
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

/// A forge that may be asked, by its name alone, beside a host of the operator's that may not.
class HostileLargeFiles : public LargeFiles {
 protected:
  HostileLargeFiles() {
    fetcher_ = make_fetcher(adapters::git::NetworkPolicy::public_only, "localhost");
    pointer(canary_, "large content");
  }

  [[nodiscard]] std::string canary(const std::string& path) const {
    return canary_.origin() + "/public" + path;
  }

  void set_action(const nlohmann::json& action) const {
    std::ofstream(server_.root() + "/lfs_action") << action.dump();
  }

  void expect_refused(const Result<ports::FetchedSource>& fetched) {
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().kind, ErrorKind::invalid_input);
    EXPECT_THAT(fetched.error().customer, HasSubstr("network policy"));
    EXPECT_THAT(canary_.requests(), IsEmpty());
  }

  GitServer canary_;
};

TEST_F(HostileLargeFiles, ThatAreAllowedComeThrough) {
  make_large("app");
  const auto fetched = fetch(named(spec("app")));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "big.bin"), "large content");
}

TEST_F(HostileLargeFiles, AreNotSoughtWhereTheServerPoints) {
  const std::string port = canary_.port();
  const std::string oid = server_.shell("printf 'large content' | sha256sum | cut -c1-64");
  make_large("app");
  for (const std::string& href :
       {canary("/lfs-object/" + oid), "http://[::1]:" + port + "/x",
        "http://[::ffff:127.0.0.1]:" + port + "/x", "http://2130706433:" + port + "/x",
        "http://0x7f.1:" + port + "/x", "http://127.1:" + port + "/x",
        "http://0.0.0.0:" + port + "/x", std::string("http://169.254.169.254/latest/meta-data/"),
        std::string("http://[fd00:ec2::254]/latest"), std::string("http://10.0.0.1/x"),
        std::string("https://[64:ff9b::a9fe:a9fe]/x")}) {
    SCOPED_TRACE(href);
    set_action({{"href", href}, {"header", {{"Metadata-Flavor", "Google"}}}});
    expect_refused(fetch(named(spec("app"))));
  }
  // Nor where two readers of an address could read two hosts.
  for (const std::string& href :
       {"http://localhost@127.0.0.1:" + port + "/x", "http://127.0.0.1:" + port + "\\@localhost/x",
        "http://%31%32%37.0.0.1:" + port + "/x", "file:///etc/passwd" + port,
        "gopher://127.0.0.1:" + port + "/x", "//127.0.0.1:" + port + "/x"}) {
    SCOPED_TRACE(href);
    set_action({{"href", href}});
    EXPECT_FALSE(fetch(named(spec("app"))));
    EXPECT_THAT(canary_.requests(), IsEmpty());
  }
}

TEST_F(HostileLargeFiles, AreNotSoughtWhereARedirectionLeads) {
  make_large("app");
  for (const char* where : {"batch", "object"}) {
    for (const int status : {301, 302, 303, 307, 308}) {
      for (const std::string& target :
           {canary("/x"), std::string("http://169.254.169.254/latest/api/token")}) {
        SCOPED_TRACE(where + (" " + std::to_string(status)) + " " + target);
        set_faults({{where, status, target}});
        expect_refused(fetch(named(spec("app"))));
      }
    }
  }
}

TEST_F(HostileLargeFiles, RedirectedInACircleAreGivenUp) {
  make_large("app");
  set_faults(nlohmann::json(
      20, {"object", 302, "http://localhost:" + server_.port() + "/private/lfs-object/x"}));
  const auto fetched = fetch(named(spec("app")));
  ASSERT_FALSE(fetched);
  EXPECT_FALSE(fetched.error().is_transient());
  EXPECT_FALSE(fetched.error().customer.empty());
}

TEST_F(LargeFiles, ShowNoHeaderOfOneServerToAnother) {
  GitServer other;
  pointer(other, "large content");
  const std::string oid = server_.shell("printf 'large content' | sha256sum | cut -c1-64");
  make_large("app");
  const nlohmann::json keys{
      {"Private-Token", "t"}, {"X-Api-Key", "k"}, {"Cookie", "c"}, {"Authorization", "Basic dDp0"}};
  std::ofstream(server_.root() + "/lfs_action")
      << nlohmann::json{{"href", server_.origin() + "/public/lfs-object/" + oid}, {"header", keys}};
  set_faults({{"object", 307, other.origin() + "/public/lfs-object/" + oid}});
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "big.bin"), "large content");
  EXPECT_THAT(server_.requests().back().headers,
              AllOf(HasSubstr("private-token"), HasSubstr("x-api-key"), HasSubstr("cookie")));
  const auto shown = other.requests();
  ASSERT_EQ(shown.size(), 1U);
  EXPECT_EQ(shown.front().headers, "accept,host");
}

TEST_F(LargeFiles, AreAskedForWithNoHeaderThatFramesTheRequest) {
  const std::string oid = server_.shell("printf 'large content' | sha256sum | cut -c1-64");
  make_large("app");
  std::ofstream(server_.root() + "/lfs_action")
      << nlohmann::json{{"href", server_.origin() + "/public/lfs-object/" + oid},
                        {"header",
                         {{"Content-Length", "9"},
                          {"transfer-encoding", "chunked"},
                          {"Host", "other.test"},
                          {"Host: other.test", "x"},
                          {"Expect", "100-continue"},
                          {"Proxy-Authorization", "Basic dDp0"},
                          {"X-Kept", "yes"}}}};
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(server_.requests().back().headers, "accept,authorization,host,x-kept");
}

TEST_F(LargeFiles, WithHeadersOrAddressesWithoutEndAreRefused) {
  make_large("app");
  const std::string href = server_.origin() + "/public/lfs-object/x";
  for (const nlohmann::json& action :
       {nlohmann::json{{"href", href}, {"header", {{"X-A", std::string(20'000, 'a')}}}},
        nlohmann::json{{"href", href + std::string(20'000, 'a')}},
        nlohmann::json{{"href", href}, {"header", {{"X-A", "a\r\nHost: other"}}}}}) {
    std::ofstream(server_.root() + "/lfs_action") << action;
    server_.requests();
    const auto fetched = fetch(spec("app"));
    ASSERT_FALSE(fetched);
    EXPECT_FALSE(fetched.error().is_transient());
    EXPECT_THAT(fetched.error().customer, HasSubstr("LFS"));
    EXPECT_THAT(server_.requests(), Each(Field(&Request::path, Not(HasSubstr("lfs-object")))));
  }
}

TEST_F(LargeFiles, OfTwoThousandAreFetchedInPortions) {
  make_repository("app");
  commit("app", std::string(k_attributes) +
                    "python3 -c \"\nimport hashlib\nfor n in range(2000):\n"
                    " data = b'content %d' % n\n oid = hashlib.sha256(data).hexdigest()\n"
                    " open('../../lfs/' + oid, 'wb').write(data)\n"
                    " open('%d.bin' % n, 'w').write('version https://git-lfs.github.com/spec/v1\\n"
                    "oid sha256:%s\\nsize %d\\n' % (oid, len(data)))\n\"");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "0.bin"), "content 0");
  EXPECT_EQ(read(*fetched, "1999.bin"), "content 1999");
  const auto requests = server_.requests();
  EXPECT_EQ(std::ranges::count_if(
                requests, [](const Request& r) { return r.path.contains("/objects/batch"); }),
            20);
}

TEST_F(LargeFiles, ThatClaimToBeHugeAreRefusedBeforeAnythingIsAsked) {
  const std::string pointer_text =
      "printf 'version https://git-lfs.github.com/spec/v1\noid sha256:%064d\nsize %s\n' ";
  const std::pair<const char*, const char*> sizes[] = {{"1152921504606846976", "4 GiB"},
                                                       {"18446744073709551615", "4 GiB"},
                                                       {"3221225472", "larger than 2 GiB"}};
  make_repository("app");
  for (const auto& [size, words] : sizes) {
    SCOPED_TRACE(size);
    commit("app", k_attributes + pointer_text + "1 " + size + " > big.bin");
    server_.requests();
    const auto fetched = fetch(spec("app"));
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().kind, ErrorKind::invalid_input);
    EXPECT_THAT(fetched.error().customer, HasSubstr(words));
    EXPECT_TRUE(only_let_in());
  }
  // Many together.
  make_repository("many");
  commit("many", k_attributes +
                     ("for n in 1 2 3 4 5; do " + pointer_text + "$n 1073741824 > $n.bin; done"));
  const auto fetched = fetch(spec("many"));
  ASSERT_FALSE(fetched);
  EXPECT_THAT(fetched.error().customer, HasSubstr("4 GiB"));
}

TEST_F(LargeFiles, OfAServerThatSendsMoreThanItSaidAreCutOff) {
  make_large("app");
  set_faults(nlohmann::json(3, {"object", 200, std::string(20'000'000, 'x')}));
  const auto fetched = fetch(spec("app"));
  ASSERT_FALSE(fetched);
  EXPECT_THAT(fetched.error().customer, HasSubstr("another content"));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(work_dir())) {
    EXPECT_TRUE(!entry.is_regular_file() || entry.file_size() < 1'000'000) << entry.path();
  }
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
