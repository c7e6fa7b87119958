#include "base/text.hpp"
#include "fakes/processes.hpp"

#include "fixture.hpp"

#include <dirent.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace builder::test {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// Command lines and environments of every process whose command line mentions `word`.
std::string processes_with(const std::string& word) {
  std::string all;
  for (const fakes::SeenProcess& process : fakes::processes()) {
    if (process.command_line.contains(word)) {
      all += process.command_line + "\n" + process.environment + "\n";
    }
  }
  std::ranges::replace(all, '\0', ' ');
  return all;
}

class Security : public GitContract {
 protected:
  const std::vector<std::string> secrets_{
      GitServer::k_password,
      base64_encode(std::string(GitServer::k_user) + ":" + GitServer::k_password)};
  std::size_t events_seen_ = 0;
};

TEST_F(Security, CredentialsAreInNoFileLogOrEvent) {
  make_repository("app");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched);
  const auto missing = fetch(spec("missing"));
  ASSERT_FALSE(missing);
  const std::string all =
      lines_->log() + lines_->events() + missing.error().message + missing.error().customer;
  for (const std::string& secret : secrets_) {
    EXPECT_THAT(all, Not(HasSubstr(secret)));
  }
  EXPECT_EQ(secrets_in_files(), "");
}

TEST_F(Security, CredentialsAreInNoCommandLineAndNoEnvironment) {
  std::stop_source source;
  std::jthread job([&] {
    [[maybe_unused]] const auto fetched =
        fetch(spec("app", "", "main", "stall"), {.deployment_id = {}, .stop = source.get_token()});
  });
  std::string lines;
  for (const auto until = std::chrono::steady_clock::now() + 10s;
       !lines.contains("git-remote-http") && std::chrono::steady_clock::now() < until;) {
    lines = processes_with(server_.origin());
  }
  source.request_stop();
  EXPECT_THAT(lines, HasSubstr("git-remote-http"));
  EXPECT_THAT(lines, HasSubstr("GIT_CONFIG_COUNT="));
  for (const std::string& secret : secrets_) {
    EXPECT_THAT(lines, Not(HasSubstr(secret)));
  }
}

TEST_F(Security, CredentialsGoToTheirHostOnly) {
  make_repository("app");
  GitServer other;
  std::ofstream(server_.root() + "/moved_to") << other.origin() << "/public";
  const auto fetched = fetch(spec("app", "", "main", "moved"));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::invalid_input);
  EXPECT_THAT(fetched.error().customer, HasSubstr("moved"));
  EXPECT_THAT(other.requests(), IsEmpty());
}

TEST_F(Security, WorkFoldersAreOursAloneAndGoWithTheTree) {
  make_repository("app");
  commit("app", "echo '* eol=crlf' > .gitattributes");  // Files that differ from git's objects.
  auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched);
  for (const char* name : {"/builds", "/mirrors"}) {
    const auto permissions = std::filesystem::status(work_dir() + name).permissions();
    EXPECT_EQ(permissions, std::filesystem::perms::owner_all);
  }
  EXPECT_FALSE(std::filesystem::is_empty(work_dir() + "/builds"));
  fetched->tree.reset();
  EXPECT_TRUE(std::filesystem::is_empty(work_dir() + "/builds"));
  ASSERT_FALSE(fetch(spec("missing")));
  EXPECT_TRUE(std::filesystem::is_empty(work_dir() + "/builds"));
}

TEST_F(Security, ANewFetcherRemovesWhatAKilledOneLeft) {
  ASSERT_TRUE(make_directories(work_dir() + "/builds/b-old/tree"));
  fetcher_ = make_fetcher(adapters::git::NetworkPolicy::any);
  EXPECT_TRUE(std::filesystem::is_empty(work_dir() + "/builds"));
}

TEST_F(Security, LinksOfTheRepositoryLeadNowhere) {
  make_repository("app");
  commit("app",
         "ln -s /etc/passwd .env; ln -s / root; ln -s ../../../../etc/passwd Dockerfile; ln -s "
         "file inside");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched);
  for (const char* path : {".env", "root/etc/passwd", "Dockerfile"}) {
    const auto opened = fetched->tree->open(path);
    ASSERT_FALSE(opened) << path;
    EXPECT_EQ(opened.error().kind, ErrorKind::denied);
  }
  EXPECT_EQ(fetched->tree->stat(".env")->type, ports::FileType::symlink);
  EXPECT_EQ(read(*fetched, "inside"), "one\n");
}

TEST_F(Security, TheRepositoryRunsNothing) {
  make_repository("app");
  const std::string canary = folder_.path() + "/canary";
  commit("app",
         "echo '* filter=evil diff=evil' > .gitattributes; mkdir hooks; "
         "printf '[filter \"evil\"]\\nsmudge=touch " +
             canary + "\\n[core]\\nfsmonitor=touch " + canary +
             "\\nhooksPath=hooks\\n' > .gitconfig; printf '#!/bin/sh\\ntouch " + canary +
             "\\n' > hooks/post-checkout; chmod +x hooks/post-checkout; cp .gitconfig config");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_FALSE(std::filesystem::exists(canary));
}

TEST_F(Security, HostileTreesAreRefused) {
  make_repository("app");
  // What no porcelain makes: a ".git" folder, "..", and a name twice, once as a link.
  for (const char* script :
       {"B=$(echo x | git hash-object -w --stdin); T=$(printf '100644 blob %s\\tconfig\\n' $B | "
        "git mktree); "
        "R2=$(printf '040000 tree %s\\t.git\\n' $T | git mktree)",
        "B=$(echo x | git hash-object -w --stdin); T=$(printf '100644 blob %s\\tescaped\\n' $B | "
        "git mktree); "
        "R2=$(printf '040000 tree %s\\t..\\n' $T | git mktree)",
        "B=$(printf /tmp | git hash-object -w --stdin); T=$(printf '100644 blob %s\\tescaped\\n' "
        "$B | git mktree); "
        "R2=$(printf '120000 blob %s\\ta\\n040000 tree %s\\ta\\n' $B $T | git mktree)"}) {
    server_.shell(std::string("cd app; ") + script +
                  "; C=$(git commit-tree -m evil $R2); git push -qf o $C:refs/heads/evil");
    const auto fetched = fetch(spec("app", "", "evil"));
    ASSERT_FALSE(fetched) << script;
    EXPECT_FALSE(fetched.error().customer.empty()) << fetched.error().message;
    EXPECT_FALSE(fetched.error().is_transient());
  }
  EXPECT_FALSE(std::filesystem::exists(work_dir() + "/builds/escaped"));
}

TEST_F(Security, TheNetworkPolicyHolds) {
  make_repository("app");
  for (const auto policy : {adapters::git::NetworkPolicy::public_only,
                            adapters::git::NetworkPolicy::private_networks}) {
    fetcher_ = make_fetcher(policy);
    const auto fetched = fetch(spec("app"));
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().kind, ErrorKind::invalid_input);
    EXPECT_THAT(fetched.error().customer, HasSubstr("network policy"));
  }
  domain::SourceSpec metadata = spec("app");
  metadata.url = "http://169.254.169.254/latest.git";
  fetcher_ = make_fetcher(adapters::git::NetworkPolicy::any);
  EXPECT_EQ(fetch(metadata).error().kind, ErrorKind::invalid_input);
  EXPECT_THAT(server_.requests(), IsEmpty());
}

TEST_F(Security, WhatTheOperatorNamesIsAskedWhateverThePolicySays) {
  make_repository("part");
  make_repository("app");
  server_.shell(
      "cd app; git -c protocol.file.allow=always submodule add -q $R/part.git sub; "
      "git config -f .gitmodules submodule.sub.url ../part.git; git add -A; "
      "git commit -qm sub; git push -q o main");
  for (const auto policy : {adapters::git::NetworkPolicy::public_only,
                            adapters::git::NetworkPolicy::private_networks}) {
    for (const char* list : {"127.0.0.1", "127.0.0.0/8", "other.test, 127.0.0.0/24"}) {
      fetcher_ = make_fetcher(policy, list);
      const auto fetched = fetch(spec("app"));
      ASSERT_TRUE(fetched) << list << fetched.error().message;
      EXPECT_EQ(read(*fetched, "sub/file"), "one\n");
    }
    fetcher_ = make_fetcher(policy, "localhost");
    ASSERT_TRUE(fetch(named(spec("app"))));
    server_.requests();
    // A name stands for itself alone, not for its address.
    EXPECT_EQ(fetch(spec("app")).error().kind, ErrorKind::invalid_input);
    EXPECT_THAT(server_.requests(), IsEmpty());
  }
}

/// What a customer sees of a host, and the builder's time for it.
struct Sight {
  std::string words;
  ErrorKind kind;
  std::chrono::steady_clock::duration time;
};

TEST_F(Security, RefusalsTellNothingAboutTheNetworksOfTheOperator) {
  make_repository("app");
  const auto look = [&](const std::string& host) {
    domain::SourceSpec source = spec("app");
    source.base = "http://" + host;
    source.url = source.base + "/private/app.git";
    const auto started = std::chrono::steady_clock::now();
    const auto fetched = fetch(source);
    Sight sight{.words = lines_->events().substr(events_seen_),
                .kind = ErrorKind::internal,
                .time = std::chrono::steady_clock::now() - started};
    events_seen_ = lines_->events().size();
    if (!fetched) {
      sight.words += fetched.error().customer;
      sight.kind = fetched.error().kind;
    }
    const std::string name = host.substr(0, host.rfind(':'));
    for (std::size_t at = 0; (at = sight.words.find(name, at)) != std::string::npos;) {
      sight.words.replace(at, name.size(), "HOST");
    }
    return sight;
  };
  for (const auto policy : {adapters::git::NetworkPolicy::public_only,
                            adapters::git::NetworkPolicy::private_networks}) {
    fetcher_ = make_fetcher(policy);
    const Sight open = look("127.0.0.1:" + server_.port());
    std::vector<std::string> hosts{"127.0.0.1:1",
                                   "169.254.169.254:80",
                                   "0.0.0.0:80",
                                   "224.0.0.1:80",
                                   "240.0.0.1:80",
                                   "unknown..test:80",
                                   "localhost:" + server_.port()};
    if (policy == adapters::git::NetworkPolicy::public_only) {
      // Nobody answers there, not even a router; under the other policy they are waited for.
      hosts.insert(hosts.end(), {"10.255.255.1:80", "192.0.2.1:80", "198.18.0.1:80"});
    }
    for (const std::string& host : hosts) {
      SCOPED_TRACE(host);
      const Sight seen = look(host);
      EXPECT_EQ(seen.words, open.words);
      EXPECT_EQ(seen.kind, open.kind);
      EXPECT_LT(seen.time, 5s);
    }
  }
  EXPECT_THAT(server_.requests(), IsEmpty());
  EXPECT_THAT(lines_->log() + fetch(spec("app")).error().message, HasSubstr("127.0.0.1"));
}

TEST_F(Security, NamesArePinnedToTheCheckedAddress) {
  make_repository("app");
  domain::SourceSpec named = spec("app");
  named.url = "http://localhost:" + server_.port() + "/private/app.git";
  // Works at all only if git takes 127.0.0.1 of the pinned addresses.
  const auto fetched = fetch(named);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_THAT(server_.requests(), Each(Field(&Request::authorization, Not("-"))));
}

}  // namespace
}  // namespace builder::test
