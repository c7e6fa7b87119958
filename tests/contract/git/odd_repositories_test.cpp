#include "fixture.hpp"

#include <filesystem>
#include <fstream>

namespace builder::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

/// What `git clone` takes, whatever git-fsck(1) says about it; and what it refuses.
class OddRepositories : public GitContract {
 protected:
  /// Makes a commit of a tree on branch "odd" of a repository; `entries` prints its entries with
  /// `raw MODE NAME OBJECT`; $B is a file ("x"), $S a folder that holds it as "inner", $L a link.
  std::string odd_tree(const std::string& name, const std::string& entries) const {
    return server_.shell(
        "cd " + name +
        "; raw() { printf '%s ' \"$1\"; printf \"$2\"; printf '\\0'; python3 -c "
        "'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))' $3; }; put() { git "
        "hash-object -t tree -w --literally --stdin; }; "
        "B=$(echo x | git hash-object -w --stdin); B2=$(echo y | git hash-object -w --stdin); "
        "L=$(printf inner | git hash-object -w --stdin); S=$(raw 100644 inner $B | put); T=$({ " +
        entries +
        "; } | put); C=$(git commit-tree -m odd $T); git push -qf o $C:refs/heads/odd; echo $C");
  }
};

TEST_F(OddRepositories, AnObjectThatNeedsTooMuchMemoryIsTheRepositorysFault) {
  make_repository("app");
  server_.shell(
      "cd app; T=$(git write-tree); C=$(head -c 80000000 /dev/zero | tr '\\0' x | git commit-tree "
      "$T); git push -qf o $C:refs/heads/huge");
  fetcher_ = make_fetcher(adapters::git::NetworkPolicy::any, "", 64U << 20U);
  const auto fetched = fetch(spec("app", "", "huge"));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::invalid_input) << fetched.error().message;
  EXPECT_THAT(fetched.error().customer, HasSubstr("too much memory"));
  EXPECT_TRUE(fetch(spec("app"))) << "the mirror is as good as before";
}

TEST_F(OddRepositories, TreesThatGitTakesAreTaken) {
  make_repository("app");

  struct Row {
    const char* entries;
    const char* path;
    const char* content;
  };

  for (const Row& row : {
           Row{"raw 040000 sub $S", "sub/inner", "x\n"},                  // zeroPaddedFilemode
           Row{"raw 0100644 f $B", "f", "x\n"},                           //
           Row{"raw 100664 f $B", "f", "x\n"},                            // badFilemode
           Row{"raw 100600 f $B; raw 40755 sub $S", "sub/inner", "x\n"},  //
           Row{"raw 100644 f $B; raw 100644 f $B", "f", "x\n"},           // duplicateEntries
           Row{"raw 100644 f $B; raw 100644 f $B2", "f", "y\n"},          //
           Row{"raw 100644 z $B; raw 100644 a $B2", "a", "y\n"},          // treeNotSorted
           Row{"raw 40000 foo $S; raw 100644 foo.txt $B", "foo/inner", "x\n"},
           Row{"raw 100644 a/b $B", "a/b", "x\n"},  // fullPathname
           Row{"raw 100644 'a\\\\b' $B", "a\\b", "x\n"},
           Row{"raw 100644 'new\\nline' $B", "new\nline", "x\n"},
           Row{"raw 100644 'caf\\351' $B", "caf\351", "x\n"},
           Row{"raw 100644 A $B; raw 100644 a $B2", "A", "x\n"},
           Row{"raw 120777 l $L; raw 100644 inner $B", "l", "x\n"},
           Row{"raw 120000 .gitattributes $L; raw 100644 inner $B", "inner", "x\n"},
       }) {
    SCOPED_TRACE(row.entries);
    const std::string sha = odd_tree("app", row.entries);
    for (const std::string& commit : {std::string(), sha, sha.substr(0, 9)}) {
      const auto fetched = fetch(spec("app", commit, "odd"));
      ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
      EXPECT_EQ(fetched->commit.str(), sha);
      EXPECT_EQ(read(*fetched, row.path), row.content);
    }
  }
}

TEST_F(OddRepositories, TreesThatGitRefusesAreRefusedInItsWords) {
  make_repository("app");
  for (const auto& [entries, word] : {
           std::pair("raw 40000 .git $S", "hasDotgit"),
           std::pair("raw 40000 .GIT $S", "hasDotgit"),
           std::pair("raw 100644 git~1 $B", "hasDotgit"),
           std::pair("raw 100644 '.git ' $B", "hasDotgit"),
           std::pair("raw 100644 '.git::$INDEX_ALLOCATION' $B", "hasDotgit"),
           std::pair("raw 100644 '.g\\342\\200\\214it' $B", "hasDotgit"),
           std::pair("raw 100644 a/.git/config $B", "hasDotgit"),
           std::pair("raw 40000 .. $S", "hasDotdot"),
           std::pair("raw 100644 a/../../b $B", "hasDotdot"),
           std::pair("raw 100644 . $B", "hasDot"),
           std::pair("raw 120000 .gitmodules $L", "gitmodulesSymlink"),
           std::pair("raw 120000 a $L; raw 40000 a $S", "duplicateEntries"),
       }) {
    SCOPED_TRACE(entries);
    odd_tree("app", entries);
    const auto fetched = fetch(spec("app", "", "odd"));
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().kind, ErrorKind::invalid_input);
    EXPECT_THAT(fetched.error().customer, AllOf(HasSubstr(word), Not(HasSubstr(work_dir()))));
    EXPECT_FALSE(std::filesystem::exists(work_dir() + "/builds/escaped"));
  }
}

TEST_F(OddRepositories, CommitsThatGitTakesAreTaken) {
  make_repository("app");
  for (
      const char* head : {
          // nulInCommit, nulInHeader, dates, names, zones, several authors, other headers
          R"(author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nbad\0message\n)",
          R"(author A <a@b>1 +0000\ncommitter A <a@b> 1 +0000\n\nm\n)",
          R"(author A a@b 1 +0000\ncommitter A <a@b> 99999999999999999999 +0000\n\nm\n)",
          R"(author  <> 01 +0000\ncommitter A<a@b> 1 +00\n\nm\n)",
          R"(author A <a@b> 1 +0000\nauthor B <b@b> 1 +0000\ncommitter A <a@b> 1 +9999\n\nm\n)",
          R"(committer A <a@b> 1 +0000\n\nno author\n)",
          R"(author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\nencoding latin1\ngpgsig -----BEGIN\n more\nmergetag object x\n\nm\n)",
      }) {
    SCOPED_TRACE(head);
    const std::string sha = server_.shell(
        std::string("cd app; T=$(git rev-parse HEAD^{tree}); C=$({ printf 'tree %s\\n' $T; "
                    "printf '") +
        head +
        "'; } | git hash-object -t commit -w --literally --stdin); N=$(git commit-tree -p $C -m "
        "top "
        "$T); git push -qf o $C:refs/heads/odd $N:refs/heads/top; echo $C");
    for (const std::string& commit : {std::string(), sha, sha.substr(0, 9)}) {
      const auto fetched = fetch(spec("app", commit, "odd"));
      ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
      EXPECT_EQ(read(*fetched, "file"), "one\n");
    }
    ASSERT_TRUE(fetch(spec("app", "", "top")));
  }
}

TEST_F(OddRepositories, WhateverTheirHistoryHolds) {
  make_repository("app");
  const std::string odd = odd_tree("app", "raw 40000 .git $S; raw 100644 x $B");
  const std::string sha =
      server_.shell("cd app; git commit-tree -p " + odd + " -m good $(git rev-parse main^{tree})");
  server_.shell("cd app; git push -qf o " + sha + ":refs/heads/main");
  for (const std::string& commit : {std::string(), sha, sha.substr(0, 9)}) {
    const auto fetched = fetch(spec("app", commit));
    ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
  }
}

TEST_F(OddRepositories, LongLinesOfAttributes) {
  make_repository("app");
  // git passes over the first line, and says so in a checkout.
  commit("app",
         "{ printf '%05000d eol=crlf\\n' 1; echo 'w eol=crlf'; echo '# filter=none'; } > "
         ".gitattributes; echo windows > w");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
  EXPECT_EQ(read(*fetched, "w"), "windows\r\n");
  EXPECT_THAT(lines_->events(), HasSubstr("git: ignoring overly long attributes line 1"));
}

TEST_F(OddRepositories, ManyFoldersWithTheSameLargeAttributes) {
  make_repository("app");
  commit("app",
         "yes '# a line of no meaning' | head -c 3000000 > a; for i in 1 2 3 4 5 6 7 8 9; do mkdir "
         "d$i; cp a d$i/.gitattributes; done; rm a; echo 'w eol=crlf' > .gitattributes; echo a > "
         "w");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
  EXPECT_EQ(read(*fetched, "w"), "a\r\n");
}

TEST_F(OddRepositories, OfTheSha256Format) {
  const std::string sha = server_.shell(
      "git init -q -b main --object-format=sha256 app; cd app; echo one > file; git add -A; git "
      "commit -qm first; git tag -a -m v1 v1; git clone -q --bare . $R/app.git; git remote add o "
      "$R/app.git; git rev-parse HEAD");
  ASSERT_THAT(sha, SizeIs(64));
  const std::string tag = server_.shell("cd app; git rev-parse v1");
  for (const std::string& commit :
       {std::string(), sha, sha.substr(0, 10), sha.substr(0, 40), tag}) {
    SCOPED_TRACE(commit);
    const auto fetched = fetch(spec("app", commit));
    ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
    EXPECT_EQ(fetched->commit.str(), sha);
    EXPECT_EQ(read(*fetched, "file"), "one\n");
  }
  server_.requests();
  ASSERT_TRUE(fetch(spec("app", sha)));
  EXPECT_TRUE(only_let_in()) << "the mirror has its format";
  EXPECT_TRUE(fetch(spec("app", sha, "main", "v0")));
  // The server changes its mind: made anew with the other format, and back.
  server_.shell("rm -rf $R/app.git app");
  const std::string other = make_repository("app");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(fetched->commit.str(), other);
  ASSERT_FALSE(fetch(spec("app", sha)));
}

TEST_F(OddRepositories, TagsByTheirShaAndInPlaceOfABranch) {
  const std::string sha = make_repository("app");
  commit("app", "echo two > file");
  const std::string tag = server_.shell(
      "cd app; git tag -a -m v1 v1.0 " + sha + "; git tag -a -m v2 v2.0 v1.0; git tag light " +
      sha + "; git tag tree HEAD^{tree}; git push -q o --tags; git rev-parse v1.0");
  for (const std::string& commit :
       {tag, tag.substr(0, 9), server_.shell("cd app; git rev-parse v2.0")}) {
    for (const char* mode : {"private", "v0"}) {
      const auto fetched = fetch(spec("app", commit, "main", mode));
      ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
      EXPECT_EQ(fetched->commit.str(), sha);
    }
  }
  for (const char* name : {"v1.0", "v2.0", "light"}) {
    const auto fetched = fetch(spec("app", "", name));
    ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
    EXPECT_EQ(fetched->commit.str(), sha);
    EXPECT_THAT(lines_->events(), HasSubstr(std::string("'") + name + "' is a tag"));
  }
  const auto tree = fetch(spec("app", "", "tree"));
  ASSERT_FALSE(tree);
  EXPECT_THAT(tree.error().customer, HasSubstr("stands for no commit"));
  // A branch of the same name is what git clone takes.
  server_.shell("cd app; git push -q o main:refs/heads/v1.0");
  EXPECT_NE(fetch(spec("app", "", "v1.0"))->commit.str(), sha);
}

TEST_F(OddRepositories, EmptyOnesAndBranchesThatAreNotThere) {
  server_.shell("git init -q --bare -b main $R/empty.git");
  const auto empty = fetch(spec("empty"));
  ASSERT_FALSE(empty);
  EXPECT_EQ(empty.error().kind, ErrorKind::not_found);
  EXPECT_THAT(empty.error().customer, HasSubstr("has no commits yet"));
  make_repository("app");
  EXPECT_THAT(fetch(spec("app", "", "nope")).error().customer,
              HasSubstr("default branch is 'main'"));
  // HEAD leads nowhere.
  server_.shell(
      "cd app; git push -q o main:dev; git -C $R/app.git symbolic-ref HEAD refs/heads/gone");
  EXPECT_THAT(fetch(spec("app", "", "nope")).error().customer, HasSubstr("it has 'dev', 'main'"));
  EXPECT_TRUE(fetch(spec("app", "", "dev")));
}

TEST_F(OddRepositories, RenamedOnesOfTheSameOrigin) {
  const std::string sha = make_repository("app");
  std::ofstream(server_.root() + "/renamed") << "app";
  for (const char* mode : {"renamed-301", "renamed-302", "renamed-307", "renamed-308"}) {
    SCOPED_TRACE(mode);
    for (const std::string& commit : {std::string(), sha, sha.substr(0, 9)}) {
      domain::SourceSpec old = spec("old", commit, "main", mode);
      const auto fetched = fetch(old);
      ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
      EXPECT_EQ(fetched->commit.str(), sha);
    }
  }
  EXPECT_THAT(lines_->events(), HasSubstr("has moved to " + server_.url("private", "app")));
  std::ofstream(server_.root() + "/renamed") << "gone";
  EXPECT_EQ(fetch(spec("old", "", "main", "renamed-301")).error().kind, ErrorKind::not_found);
}

TEST_F(OddRepositories, OnServersOfOldAndOddWays) {
  const std::string sha = make_repository("app");
  commit("app", "echo two > file");
  server_.shell("git -C $R/app.git update-server-info");
  for (const char* mode : {"dumb", "zipped", "v0"}) {
    SCOPED_TRACE(mode);
    for (const std::string& commit : {std::string(), sha, sha.substr(0, 9)}) {
      const auto fetched = fetch(spec("app", commit, "main", mode));
      ASSERT_TRUE(fetched) << fetched.error().message << fetched.error().customer;
      EXPECT_EQ(read(*fetched, "file"), commit.empty() ? "two\n" : "one\n");
    }
  }
}

TEST_F(OddRepositories, WithManyRefsReplacementsAndGrafts) {
  const std::string sha = make_repository("app");
  const std::string next = commit("app", "echo two > file");
  server_.shell("cd app; git replace " + next + " " + sha +
                "; git push -q o 'refs/replace/*:refs/replace/*'; for i in $(seq 3000); do echo "
                "\"create refs/heads/b$i " +
                sha +
                "\"; done | git -C $R/app.git update-ref --stdin; "
                "git -C $R/app.git pack-refs --all");
  const auto fetched = fetch(spec("app", next.substr(0, 9)));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "file"), "two\n");
  EXPECT_TRUE(fetch(spec("app", "", "b2999")));
}

TEST_F(OddRepositories, BranchesOfOddNames) {
  make_repository("app");
  for (const char* name :
       {"feature/#42-x@work+{y}", "дополнительно/ü", "HEAD", "a'b\"c;$(id)&", "%41"}) {
    SCOPED_TRACE(name);
    server_.shell(std::string("cd app; git push -q o 'main:refs/heads/") +
                  (std::string(name).contains('\'') ? "a'\\''b\"c;$(id)&" : name) + "'");
    const auto fetched = fetch(spec("app", "", name));
    ASSERT_TRUE(fetched) << fetched.error().message;
  }
}

}  // namespace
}  // namespace builder::test
