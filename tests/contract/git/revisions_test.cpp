#include "fakes/characters.hpp"

#include "fixture.hpp"

#include <filesystem>

namespace builder::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

using Revisions = GitContract;

TEST_F(Revisions, TheHeadOfTheBranch) {
  const std::string sha = make_repository("app");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(fetched->commit.str(), sha);
  EXPECT_EQ(fetched->subject, "First words");
  EXPECT_EQ(read(*fetched, "file"), "one\n");
  EXPECT_THAT(lines_->events(), HasSubstr("private/app (branch main)"));
  EXPECT_THAT(lines_->events(), HasSubstr("Checked out " + sha.substr(0, 7)));
}

TEST_F(Revisions, TheHeadAfterAPush) {
  make_repository("app");
  ASSERT_TRUE(fetch(spec("app")));
  const std::string next = commit("app", "echo two > file");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched);
  EXPECT_EQ(fetched->commit.str(), next);
  EXPECT_EQ(read(*fetched, "file"), "two\n");
}

TEST_F(Revisions, TheHeadAfterAForcedPush) {
  make_repository("app");
  commit("app", "echo two > file");
  ASSERT_TRUE(fetch(spec("app")));
  const std::string forced = server_.shell(
      "cd app; git reset -q --hard HEAD~1; echo three > file; git commit -qam Forced; git push -qf "
      "o main; git rev-parse HEAD");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(fetched->commit.str(), forced);
}

TEST_F(Revisions, AFullCommitThatIsOlder) {
  const std::string first = make_repository("app");
  commit("app", "echo two > file");
  commit("app", "echo three > file");
  ASSERT_TRUE(fetch(spec("app")));
  const auto fetched = fetch(spec("app", first));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "file"), "one\n");
}

TEST_F(Revisions, AFullCommitOfAnotherBranch) {
  make_repository("app");
  const std::string other = commit("app", "git checkout -q -b other; echo other > file");
  const auto fetched = fetch(spec("app", other, "main"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "file"), "other\n");
}

TEST_F(Revisions, AFullCommitOfADeletedBranch) {
  make_repository("app");
  const std::string other = commit("app", "git checkout -q -b gone; echo other > file");
  server_.shell("cd app; git checkout -q main; git push -q o :gone");
  const auto fetched = fetch(spec("app", other, "gone"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "file"), "other\n");
}

TEST_F(Revisions, AServerThatGivesHeadsOnly) {
  const std::string first = make_repository("app");
  commit("app", "echo two > file");
  const auto fetched = fetch(spec("app", first, "main", "v0"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "file"), "one\n");
}

TEST_F(Revisions, AShortCommitOfAnyBranch) {
  const std::string first = make_repository("app");
  commit("app", "echo two > file");
  const std::string other = commit("app", "git checkout -q -b other; echo other > file");
  ASSERT_TRUE(fetch(spec("app")));  // A shallow mirror is there already.
  for (const auto& [sha, content] : {std::pair(first, "one\n"), std::pair(other, "other\n")}) {
    const auto fetched = fetch(spec("app", sha.substr(0, 8)));
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_EQ(fetched->commit.str(), sha);
    EXPECT_EQ(read(*fetched, "file"), content);
  }
}

TEST_F(Revisions, AnAmbiguousShortCommit) {
  make_repository("app");
  // Two commits with the same first seven digits.
  const std::string prefix =
      server_.shell(R"(cd app; T=$(git rev-parse HEAD^{tree}); python3 - "$T" <<'P'
import hashlib, subprocess, sys
seen = {}
n = 0
while True:
    body = f"tree {sys.argv[1]}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n{n}\n".encode()
    sha = hashlib.sha1(b"commit %d\0" % len(body) + body).hexdigest()[:7]
    if sha in seen:
        for i, b in ((1, seen[sha]), (2, body)):
            oid = subprocess.run(["git", "hash-object", "-t", "commit", "-w", "--stdin"], input=b, stdout=subprocess.PIPE).stdout.decode().strip()
            subprocess.run(["git", "push", "-q", "o", f"{oid}:refs/heads/b{i}"], check=True)
        print(sha)
        break
    seen[sha] = body
    n += 1
P
)");
  const auto fetched = fetch(spec("app", prefix));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::invalid_input);
  EXPECT_THAT(fetched.error().customer, HasSubstr("ambiguous"));
}

TEST_F(Revisions, CommitsAndBranchesThatDoNotExist) {
  make_repository("app");
  for (const char* commit : {"1234567", "1234567890123456789012345678901234567890"}) {
    const auto fetched = fetch(spec("app", commit));
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().kind, ErrorKind::not_found) << fetched.error().message;
    EXPECT_THAT(fetched.error().customer, HasSubstr(commit));
  }
  const auto fetched = fetch(spec("app", "", "nope"));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::not_found);
  EXPECT_THAT(fetched.error().customer, HasSubstr("'nope' does not exist"));
}

TEST_F(Revisions, AKnownCommitIsNotSentAgainAndNeedsTheJobsOwnCredentials) {
  const std::string sha = make_repository("app");
  ASSERT_TRUE(fetch(spec("app", sha)));
  EXPECT_THAT(server_.requests(), SizeIs(2));  // One for the capabilities, one for the pack.
  const auto fetched = fetch(spec("app", sha));
  ASSERT_TRUE(fetched);
  EXPECT_EQ(read(*fetched, "file"), "one\n");
  EXPECT_TRUE(only_let_in());
  domain::SourceSpec wrong = spec("app", sha);
  wrong.password = Secret("revoked");
  const auto refused = fetch(wrong);
  ASSERT_FALSE(refused) << "the mirror has it";
  EXPECT_EQ(refused.error().kind, ErrorKind::denied);
}

TEST_F(Revisions, ALaterFetchBringsOnlyWhatIsNew) {
  make_repository("app");
  const std::string big = commit("app", "head -c 400000 /dev/urandom > big");
  ASSERT_TRUE(fetch(spec("app", big)));
  server_.requests();
  const std::string next = commit("app", "echo two > file");
  const auto fetched = fetch(spec("app", next));
  ASSERT_TRUE(fetched);
  EXPECT_EQ(read(*fetched, "file"), "two\n");
  std::size_t sent = 0;
  for (const Request& request : server_.requests()) {
    sent += request.sent;
  }
  EXPECT_LT(sent, 5'000U);
}

TEST_F(Revisions, TellsContentsApart) {
  make_repository("app");
  commit("app", "mkdir d; echo same > d/same; echo x > changed; ln -s file link");
  const auto first = fetch(spec("app"));
  commit("app", "echo y > changed; chmod +x file");
  const auto second = fetch(spec("app"));
  ASSERT_TRUE(first && second);
  const auto content = [](const auto& fetched, std::string_view path) {
    return fetched->tree->stat(path)->content;
  };
  EXPECT_EQ(content(first, "d/same"), content(second, "d/same"));
  EXPECT_EQ(content(first, "link"), content(second, "link"));
  EXPECT_NE(content(first, "changed"), content(second, "changed"));
  EXPECT_EQ(content(first, "file"), content(second, "file"));
  EXPECT_NE(first->tree->stat("file")->permissions, second->tree->stat("file")->permissions);

  commit("app", "echo '* eol=crlf' > .gitattributes");
  const auto third = fetch(spec("app"));
  ASSERT_TRUE(third);
  EXPECT_EQ(read(*third, "d/same"), "same\r\n");
  EXPECT_NE(content(second, "d/same"), content(third, "d/same"));
}

TEST_F(Revisions, FilesAreReadFromTheObjectsWithoutACheckout) {
  make_repository("app");
  // One of them larger than what is read whole.
  commit(
      "app",
      "mkdir -p d/e; printf 'a\\0b' > d/e/f; chmod +x d/e/f; : > empty; ln -s ../d/e/f d/up; ln "
      "-s d dir; ln -s loop loop; ln -s ../file out; head -c 5000000 /dev/zero > big; mkdir d.x; "
      "echo > d.x/y; echo '* text=auto' > .gitattributes");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_TRUE(std::filesystem::is_empty(work_dir() + "/builds"));
  const ports::SourceTree& tree = *fetched->tree;
  EXPECT_EQ(read(*fetched, "d/e/f"), std::string("a\0b", 3));
  EXPECT_EQ(read(*fetched, "dir/up"), std::string("a\0b", 3));
  EXPECT_EQ(read(*fetched, "empty"), "");
  EXPECT_EQ(tree.stat("d/e/f")->permissions, 0755U);
  EXPECT_EQ(tree.stat("file")->permissions, 0644U);
  EXPECT_EQ(tree.stat("d/up")->size, 8U);
  EXPECT_EQ(tree.read_link("d/up"), "../d/e/f");
  std::vector<std::string> names;
  const auto listed = tree.list("");
  for (const auto& entry : *listed) {
    names.push_back(entry.name);
  }
  EXPECT_THAT(names, ElementsAre(".gitattributes", "big", "d", "d.x", "dir", "empty", "file",
                                 "loop", "out"));
  EXPECT_EQ(tree.list("dir")->size(), 2U);
  for (const auto& [path, kind] :
       {std::pair("out", ErrorKind::denied), std::pair("loop", ErrorKind::denied),
        std::pair("nothing", ErrorKind::not_found), std::pair("file/x", ErrorKind::not_found),
        std::pair("d", ErrorKind::invalid_input), std::pair("", ErrorKind::invalid_input)}) {
    const auto opened = tree.open(path);
    ASSERT_FALSE(opened) << path;
    EXPECT_EQ(opened.error().kind, kind) << path;
  }
  auto big = tree.open("big");
  ASSERT_TRUE(big);
  std::vector<std::byte> buffer(100'000);
  std::size_t total = 0;
  for (auto count = (*big)->read(buffer); count && *count > 0; count = (*big)->read(buffer)) {
    total += *count;
  }
  EXPECT_EQ(total, 5'000'000U);
}

TEST_F(Revisions, ABlobThatIsLostLaterIsNamedAndTheMirrorMadeAnew) {
  make_repository("app");
  const std::string sha = commit("app", "echo precious > other");
  auto fetched = fetch(spec("app", sha));
  ASSERT_TRUE(fetched);
  server_.shell("find " + work_dir() + "/mirrors/*/objects -type f -delete");
  const auto opened = fetched->tree->open("other");
  if (!opened) {  // git may have kept the pack open.
    EXPECT_EQ(opened.error().kind, ErrorKind::unavailable);
    EXPECT_THAT(opened.error().customer, HasSubstr("damaged or removed"));
  }
  fetched->tree.reset();
  const auto again = fetch(spec("app", sha));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(read(*again, "other"), "precious\n");
}

TEST_F(Revisions, TreesNobodyCanUseAreRefused) {
  make_repository("app");
  // Folders in folders, each ten times: 10^9 files in a few objects; and one very deep folder.
  const std::string bomb = server_.shell(
      "cd app; B=$(echo x | git hash-object -w --stdin); T=$(printf '100644 blob %s\\tf\\n' $B | "
      "git "
      "mktree); for i in 1 2 3 4 5 6 7 8 9; do T=$(for n in 0 1 2 3 4 5 6 7 8 9; do printf '040000 "
      "tree %s\\t%s\\n' $T $n; done | git mktree); done; C=$(git commit-tree -m bomb $T); git push "
      "-qf o $C:refs/heads/bomb; T=$(printf '100644 blob %s\\tf\\n' $B | git mktree); for i in "
      "$(seq "
      "300); do T=$(printf '040000 tree %s\\td\\n' $T | git mktree); done; C=$(git commit-tree -m "
      "deep $T); git push -qf o $C:refs/heads/deep; L=$(yes a/ | tr -d '\\n' | head -c 9000000 | "
      "git "
      "hash-object -w --stdin); T=$(printf '120000 blob %s\\tDockerfile\\n' $L | git mktree); "
      "C=$(git "
      "commit-tree -m link $T); git push -qf o $C:refs/heads/link; "
      // Lists of names that are long: one of 1,000,000 files, and three of 24 MiB.
      "T=$(python3 -c \"import sys; b = bytes.fromhex('$B'); "
      "sys.stdout.buffer.write(b''.join(b'100644 "
      "%07d\\0' % i + b for i in range(1000000)))\" | git hash-object -t tree -w --stdin "
      "--literally); "
      "C=$(git commit-tree -m many $T); git push -qf o $C:refs/heads/many; "
      "T=$(for n in 0 1 2; do D=$(python3 -c \"import sys; b = bytes.fromhex('$B'); "
      "sys.stdout.buffer.write(b''.join(b'100644 %d-%04d-' % ($n, i) + b'x' * 4000 + b'\\0' + b "
      "for i in "
      "range(6000)))\" | git hash-object -t tree -w --stdin --literally); printf '040000 tree "
      "%s\\t%s\\n' $D $n; done | git mktree); C=$(git commit-tree -m long $T); git push -qf o "
      "$C:refs/heads/long; "
      // A path that is longer than Linux takes; and the same names in many folders of long names.
      "W=$(printf '%0250d' 7); T=$(printf '100644 blob %s\\tf\\n' $B | git mktree); "
      "for i in $(seq 20); do T=$(printf '040000 tree %s\\t%s\\n' $T $W | git mktree); done; "
      "C=$(git commit-tree -m path $T); git push -qf o $C:refs/heads/path; "
      "T=$(for n in $(seq 450); do printf '100644 blob %s\\t%d\\n' $B $n; done | git mktree); "
      "T=$(for n in $(seq 450); do printf '040000 tree %s\\t%d-%s\\n' $T $n $W; done | "
      "git mktree); C=$(git commit-tree -m paths $T); git push -qf o $C:refs/heads/paths");
  for (const auto& [branch, why] :
       {std::pair("bomb", "500,000 files"), std::pair("deep", "nested too deeply"),
        std::pair("many", "500,000 files"), std::pair("long", "more than 64 MiB"),
        std::pair("link", "a link with a target of more than"),
        std::pair("path", "a path of more than 4,095 bytes"),
        std::pair("paths", "have more than 40 MiB")}) {
    const auto fetched = fetch(spec("app", "", branch));
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().kind, ErrorKind::invalid_input);
    EXPECT_THAT(fetched.error().customer, HasSubstr(why));
  }
}

TEST_F(Revisions, MoreBytesThanADeploymentMayHaveAreRefusedBeforeTheyAreRead) {
  make_repository("app");
  // 92 KB of pack, 110 times 20 MiB.
  const std::string bomb = server_.shell(
      "cd app; B=$(head -c 20971520 /dev/zero | git hash-object -w --stdin); T=$(for n in $(seq "
      "110); "
      "do printf '100644 blob %s\\tf%s\\n' $B $n; done | git mktree); C=$(git commit-tree -m big "
      "$T); git push -qf o $C:refs/heads/big; echo $C");
  fetcher_ = *adapters::git::make_source_fetcher({.work_dir = work_dir(),
                                                  .builds_dir = work_dir() + "/builds",
                                                  .policy = adapters::git::NetworkPolicy::any,
                                                  .largest_source = 1ULL << 30U});
  const auto fetched = fetch(spec("app", "", "big"));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::invalid_input);
  EXPECT_THAT(fetched.error().customer, HasSubstr("more than 1 GiB together"));
  EXPECT_TRUE(fetch(spec("app")));
}

TEST_F(Revisions, SubjectsAreOneShortLineOfText) {
  make_repository("app");
  server_.shell(
      "cd app; printf '\\033[31mcaf\\351 %0100d\\n\\nbody' 1 > ../m; git -c "
      "i18n.commitEncoding=latin1 "
      "commit -q --allow-empty -F ../m; git push -q o main");
  const auto fetched = fetch(spec("app"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_THAT(fetched->subject, HasSubstr("caf\uFFFD 000"));
  EXPECT_LE(fakes::characters_of(fetched->subject), 72U);
}

TEST_F(Revisions, TheTimeIsThatOfTheCommitter) {
  make_repository("app");
  const auto time_of = [&](const std::string& committed) {
    const std::string sha = server_.shell(
        "cd app; export GIT_AUTHOR_DATE='@1000000000 +0000' GIT_COMMITTER_DATE='" + committed +
        "'; git commit -q --allow-empty -m '> 5 +0000'; "
        "git push -q o main; git rev-parse HEAD");
    const auto fetched = fetch(spec("app"));
    EXPECT_TRUE(fetched) << fetched.error().message;
    return fetched && fetched->commit.str() == sha
               ? fetched->committed_at.time_since_epoch().count()
               : -1;
  };
  EXPECT_EQ(time_of("@1700000001 +0530"), 1'700'000'001);
  EXPECT_EQ(time_of("@0 +0000"), 0);
}

TEST_F(Revisions, ATimeThatNobodyCanWriteIsTheNearestThatCan) {
  make_repository("app");
  const auto time_of = [&](const std::string& committer) {
    server_.shell(
        "cd app; t=$(git rev-parse HEAD^{tree}); printf 'tree %s\\nauthor A <a> 7 +0000\\n" +
        committer +
        "\\n\\nx <a> 9 +0000\\n' $t > ../c; git update-ref refs/heads/main "
        "$(git hash-object -t commit -w --literally ../c); git push -q -f o main");
    const auto fetched = fetch(spec("app"));
    EXPECT_TRUE(fetched) << fetched.error().message;
    return fetched ? fetched->committed_at.time_since_epoch().count() : -1;
  };
  EXPECT_EQ(time_of("committer A <a> -5 +0000"), 0);
  EXPECT_EQ(time_of("committer A <a> 99999999999999 +0000"), 253'402'300'799);
  EXPECT_EQ(time_of("committer A <a> 99999999999999999999 +0000"), 253'402'300'799);
  EXPECT_EQ(time_of("committer A"), 0);
}

TEST_F(Revisions, ServicesHaveMirrorsOfTheirOwn) {
  const std::string sha = make_repository("app");
  ASSERT_TRUE(fetch(spec("app", sha)));
  server_.requests();
  domain::SourceSpec other = spec("app", sha);
  other.service_id = domain::ServiceId("s0exampleexample0002");
  other.password = Secret("wrong");
  const auto fetched = fetch(other);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::denied);
}

TEST_F(Revisions, BuildsOfOneServiceDoNotDisturbEachOther) {
  std::vector<std::string> commits{make_repository("app")};
  for (int i = 0; i < 3; ++i) {
    commits.push_back(commit("app", "echo " + std::to_string(i) + " > file"));
  }
  std::vector<std::jthread> threads;
  for (const std::string& sha : commits) {
    threads.emplace_back([this, &sha] {
      const auto fetched = fetch(spec("app", sha));
      ASSERT_TRUE(fetched) << fetched.error().message;
      EXPECT_EQ(fetched->commit.str(), sha);
    });
  }
}

}  // namespace
}  // namespace builder::test
