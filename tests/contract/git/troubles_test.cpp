#include "fakes/processes.hpp"

#include "fixture.hpp"

#include <filesystem>

namespace builder::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class Troubles : public GitContract {
 protected:
  std::string mirror() const {
    for (const auto& entry : std::filesystem::directory_iterator(work_dir() + "/mirrors")) {
      if (entry.is_directory()) {
        return entry.path();
      }
    }
    return {};
  }

  /// Processes of ours that talk to the server.
  int git_processes() const {
    int count = 0;
    for (const fakes::SeenProcess& process : fakes::processes()) {
      count += process.command_line.contains(server_.origin()) ? 1 : 0;
    }
    return count;
  }
};

TEST_F(Troubles, AServerThatIsAwayForAMoment) {
  make_repository("app");
  const auto fetched = fetch(spec("app", "", "main", "flaky"));
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_THAT(lines_->events(), HasSubstr("trying again"));
}

TEST_F(Troubles, AServerThatStaysBroken) {
  const auto fetched = fetch_as_a_run(spec("app", "", "main", "broken"));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(fetched.error().customer, HasSubstr("127.0.0.1"));
  EXPECT_THAT(server_.requests(), SizeIs(domain::k_most_attempts));
  EXPECT_THAT(lines_->events(), HasSubstr("trying again (attempt 2 of 3)"));
}

TEST_F(Troubles, AServerThatStaysBrokenIsAskedOnceInTheLastAttempt) {
  const auto last = std::make_shared<ports::RetryBudget>(domain::k_most_attempts);
  ASSERT_FALSE(
      fetch(spec("app", "", "main", "broken"), {.deployment_id = {}, .stop = {}, .retries = last}));
  EXPECT_THAT(server_.requests(), SizeIs(1));
}

TEST_F(Troubles, AServerThatIsNotThere) {
  domain::SourceSpec nobody = spec("app");
  nobody.url = "http://127.0.0.1:1/private/app.git";
  EXPECT_EQ(fetch(nobody).error().kind, ErrorKind::unavailable);
}

TEST_F(Troubles, WrongCredentialsAreNotTriedAgain) {
  make_repository("app");
  domain::SourceSpec wrong = spec("app");
  wrong.password = Secret("wrong");
  const auto fetched = fetch(wrong);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::denied);
  EXPECT_THAT(fetched.error().customer, HasSubstr("refused the user name or the password"));
  EXPECT_THAT(server_.requests(), SizeIs(1));

  wrong.password = Secret();
  const auto anonymous = fetch(wrong);
  ASSERT_FALSE(anonymous);
  EXPECT_EQ(anonymous.error().kind, ErrorKind::denied);
  EXPECT_THAT(anonymous.error().customer, HasSubstr("connect an account"));
}

TEST_F(Troubles, ARepositoryThatDoesNotExist) {
  const auto fetched = fetch(spec("missing"));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::not_found);
  EXPECT_THAT(fetched.error().customer, HasSubstr("missing was not found"));
}

TEST_F(Troubles, ABranchThatDoesNotExist) {
  make_repository("app");
  const auto fetched = fetch(spec("app", "", "missing"));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::not_found);
  EXPECT_EQ(fetched.error().customer,
            "Branch 'missing' does not exist in this repository; its default branch is 'main'");
}

/// Wherever it breaks: a part of an answer must not be read as another one.
TEST_F(Troubles, AConnectionThatBreaksOnceIsNotTheCustomersFault) {
  const std::string sha = make_repository("app");
  std::vector<std::jthread> fetches;
  for (const std::string& commit : {std::string(), sha, sha.substr(0, 10)}) {
    for (int request = 1; request <= 3; ++request) {
      for (int percent = 0; percent < 100; percent += 8) {
        const std::string mode = "cut-" + std::to_string(request) + "-" + std::to_string(percent) +
                                 "-" + std::to_string(commit.size());
        fetches.emplace_back([this, source = spec("app", commit, "main", mode)] {
          const auto fetched = fetch(source);
          EXPECT_TRUE(fetched) << source.url << ": " << fetched.error().message << ", "
                               << fetched.error().customer;
        });
      }
    }
  }
}

TEST_F(Troubles, AMirrorHealsWhateverIsWrongWithIt) {
  make_repository("app");
  const std::vector<std::string> damages{
      "find M/objects -type f | while read f; do : > $f; done",        // emptied objects
      "find M/objects -type f -exec rm {} +",                          // lost objects
      "rm -rf M/objects",                                              //
      "rm -rf M/refs",                                                 //
      "echo garbage > M/HEAD",                                         //
      "echo garbage > M/config",                                       //
      "rm M/HEAD",                                                     //
      "touch M/shallow.lock M/refs/deployra/last.lock M/config.lock",  // a killed git's locks
      "echo garbage > M/shallow",                                      //
      "echo 1111111111111111111111111111111111111111 > M/refs/deployra/last",  //
  };
  std::string sha = commit("app", "echo start > file");
  ASSERT_TRUE(fetch(spec("app", sha)));
  int number = 0;
  for (std::string damage : damages) {
    SCOPED_TRACE(damage);
    for (std::size_t at = 0; (at = damage.find("M/", at)) != std::string::npos;) {
      damage.replace(at, 1, mirror());
      at += mirror().size();
    }
    server_.shell(damage);
    // The same commit again, and a new one.
    auto same = fetch(spec("app", sha));
    ASSERT_TRUE(same) << same.error().message;
    same->tree.reset();  // A mirror in use is not replaced.
    server_.shell(damage + " || true");
    const std::string text = std::to_string(number++);
    sha = commit("app", "echo " + text + " > file");
    const auto fresh = fetch(spec("app", sha));
    ASSERT_TRUE(fresh) << fresh.error().message;
    EXPECT_EQ(read(*fresh, "file"), text + "\n");
  }
}

TEST_F(Troubles, StopEndsAStalledFetchWithAllItsProcesses) {
  for (const char* mode : {"stall", "slow"}) {
    SCOPED_TRACE(mode);
    make_repository(mode);
    std::stop_source source;
    Clock::time_point stopped;
    std::jthread canceller([&] {
      for (const auto until = Clock::now() + 10s; git_processes() < 2 && Clock::now() < until;) {
      }
      stopped = Clock::now();
      source.request_stop();
    });
    const auto fetched =
        fetch(spec(mode, "", "main", mode), {.deployment_id = {}, .stop = source.get_token()});
    const auto took = Clock::now() - stopped;
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().kind, ErrorKind::cancelled) << fetched.error().message;
    EXPECT_LT(took, 5s);  // The host holds it for longer.
    for (const auto until = Clock::now() + 5s; git_processes() > 0 && Clock::now() < until;) {
    }
    EXPECT_EQ(git_processes(), 0);
    RecordProperty(
        std::string(mode) + "_ms",
        static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(took).count()));
  }
}

TEST_F(Troubles, TheDeadlineEndsAStalledFetch) {
  const auto started = Clock::now();
  const auto fetched = fetch(spec("app", "", "main", "stall"),
                             {.deployment_id = {}, .stop = {}, .deadline = started + 300ms});
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::timed_out);
  EXPECT_FALSE(fetched.error().customer.empty());
  EXPECT_LT(Clock::now() - started, 5s);
}

}  // namespace
}  // namespace builder::test
