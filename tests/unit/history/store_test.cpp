#include "base/text.hpp"

#include "kept.hpp"

#include <gmock/gmock.h>

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <mutex>
#include <sstream>

namespace builder::adapters::history {
namespace {

using domain::LogType;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class Said final : public LogSink {
 public:
  void write(LogLevel level, std::string_view line) override {
    const std::scoped_lock lock(mutex_);
    if (level >= LogLevel::warning) {
      lines_.emplace_back(line);
    }
  }

  [[nodiscard]] bool enabled(LogLevel) const override { return true; }

  std::vector<std::string> lines() {
    const std::scoped_lock lock(mutex_);
    return lines_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

class HistoryStore : public ::testing::Test {
 protected:
  void open(Keep keep = k_much) {
    history_ = make_history({.folder = folder_.path(), .keep = keep}, metrics_, Log(said_));
  }

  /// What was told is written by then.
  void close() { history_.reset(); }

  void run(const std::string& deployment, const std::string& service = "s1",
           const std::string& outcome = "builded") {
    const auto record = history_->begin(start_of(deployment, service));
    record->row(LogType::info, "of " + deployment);
    record->end(end_of(outcome));
  }

  Folder folder_;
  ports::Metrics metrics_;
  std::shared_ptr<Said> said_ = std::make_shared<Said>();
  std::unique_ptr<ports::BuildHistory> history_;
};

TEST_F(HistoryStore, GivesBackWhatItWasTold) {
  open();
  const auto before =
      std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  {
    const auto record = history_->begin(start_of("d1"));
    record->phase("fetch");
    record->step({.name = "[1/2] FROM node", .duration = 12ms, .cached = true});
    record->step({.name = "[2/2] RUN x", .duration = 3500ms, .failed = true});
    record->base("docker.io/library/node:22", "sha256:1");
    record->phase("build");
    record->row(LogType::info, "Build started");
    record->row(LogType::stderr_, "what went wrong");
    record->end(end_of("failed"));
  }
  close();
  const ports::KeptRunDetails kept = folder_.find("d1");
  const ports::RunStart& start = kept.run.start;
  EXPECT_EQ(start.service.str(), "s1");
  EXPECT_EQ(start.attempt, 2);
  EXPECT_EQ(start.repository, "https://git.example/shop.git");
  EXPECT_EQ(start.branch, "main");
  EXPECT_EQ(start.dockerfile, "Dockerfile");
  EXPECT_THAT(start.variables, ElementsAre("A", "B"));
  EXPECT_EQ(start.settings, start_of("d1").settings);
  EXPECT_EQ(start.port, 8080);
  EXPECT_EQ(start.engine, "docker");
  EXPECT_EQ(start.version, "2.0.0");
  EXPECT_GE(kept.run.started, before);
  EXPECT_GE(kept.run.ended, kept.run.started);
  const ports::RunEnd& end = kept.run.end;
  EXPECT_EQ(end.outcome, "failed");
  EXPECT_EQ(end.category, "customer");
  EXPECT_EQ(end.reason, "npm_missing_script");
  EXPECT_EQ(end.line, "it failed");
  EXPECT_EQ(end.advice, "do this");
  EXPECT_EQ(end.commit, std::string(40, 'a'));
  EXPECT_EQ(end.image, "registry.example/s1");
  EXPECT_EQ(end.digest, "sha256:" + std::string(64, 'b'));
  EXPECT_EQ(end.context_bytes, 123U);
  EXPECT_EQ(end.pushed_bytes, 456U);
  EXPECT_EQ(kept.run.steps, 2U);
  EXPECT_EQ(kept.run.cached, 1U);
  ASSERT_EQ(kept.phases.size(), 2U);
  EXPECT_EQ(kept.phases[0].first, "fetch");
  EXPECT_GT(kept.phases[0].second, 0ms);
  EXPECT_EQ(kept.phases[1].first, "build");
  EXPECT_GT(kept.phases[1].second, 0ms);
  ASSERT_EQ(kept.steps.size(), 2U);
  EXPECT_EQ(kept.steps[0].name, "[1/2] FROM node");
  EXPECT_EQ(kept.steps[0].duration, 12ms);
  EXPECT_TRUE(kept.steps[0].cached);
  EXPECT_FALSE(kept.steps[0].failed);
  EXPECT_TRUE(kept.steps[1].failed);
  EXPECT_THAT(kept.bases, ElementsAre(std::pair("docker.io/library/node:22", "sha256:1")));
  EXPECT_EQ(kept.rows, 2U);
  EXPECT_EQ(kept.rows_lost, 0U);
  const auto rows = folder_.reader()->log(kept.run.id, 0, 10);
  ASSERT_EQ(rows->size(), 2U);
  EXPECT_EQ((*rows)[0].type, LogType::info);
  EXPECT_EQ((*rows)[1].type, LogType::stderr_);
  EXPECT_EQ((*rows)[1].line, "what went wrong");
  EXPECT_EQ((*rows)[1].number, 1U);
  EXPECT_GE((*rows)[1].time, before);
  EXPECT_THAT(said_->lines(), IsEmpty());
}

TEST_F(HistoryStore, IsReadWhileItIsWritten) {
  open();
  const auto record = history_->begin(start_of("d1"));
  record->phase("build");
  record->row(LogType::stdout_, "one");
  ASSERT_TRUE(eventually([&] { return folder_.seen().size() == 1; }));
  EXPECT_EQ(folder_.list()[0].end.outcome, ports::k_running);
  EXPECT_EQ(folder_.list()[0].ended, std::nullopt);
  EXPECT_EQ(folder_.find("d1").phases[0].second, 0ms);
  const auto reader = folder_.reader();
  const std::int64_t id = folder_.list()[0].id;
  ASSERT_TRUE(eventually([&] { return reader->log(id, 0, 10)->size() == 1; }));
  record->row(LogType::stdout_, "two");
  ASSERT_TRUE(eventually([&] { return reader->log(id, 1, 10)->size() == 1; }));
  EXPECT_EQ((*reader->log(id, 1, 10))[0].line, "two");
  record->end(end_of("builded"));
  ASSERT_TRUE(eventually([&] { return (*reader->list({}))[0].end.outcome == "builded"; }));
}

TEST_F(HistoryStore, ReadersAndSeveralWritersDoNotDisturbEachOther) {
  constexpr int k_runs = 40;
  open();
  const auto other = make_history({.folder = folder_.path(), .keep = k_much}, metrics_, Log(said_));
  std::atomic<int> looked = 0;
  std::jthread reading([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (const auto reader = open_history(folder_.path())) {
        const auto runs = (*reader)->list({.most = 1000});
        EXPECT_TRUE(runs) << runs.error().message;
        for (const ports::KeptRun& run : *runs) {
          EXPECT_TRUE((*reader)->log(run.id, 0, 1000));
        }
        ++looked;
      }
    }
  });
  {
    const auto write = [](ports::BuildHistory& history, const std::string& service) {
      for (int i = 0; i < k_runs; ++i) {
        const auto record = history.begin(start_of(service + std::to_string(i), service));
        for (int row = 0; row < 200; ++row) {
          record->row(LogType::stdout_, "row " + std::to_string(row));
        }
        record->end(end_of("builded"));
      }
    };
    const std::jthread one([&] { write(*history_, "a"); });
    const std::jthread two([&] { write(*history_, "a"); });
    const std::jthread three([&] { write(*other, "b"); });
  }
  const auto ended = [&](const ports::KeptRun& run) { return run.end.outcome == "builded"; };
  ASSERT_TRUE(
      eventually([&] { return std::ranges::count_if(folder_.seen(), ended) == 3 * k_runs; }));
  ASSERT_TRUE(eventually([&] { return looked > 2; }));
  reading.request_stop();
  reading.join();
  EXPECT_EQ(folder_.list({.service = "b", .most = 1000}).size(), std::size_t(k_runs));
  for (const ports::KeptRun& run : folder_.list({.most = 1000})) {
    EXPECT_EQ(folder_.reader()->log(run.id, 0, 1000)->size(), 200U);
  }
  EXPECT_THAT(said_->lines(), IsEmpty());
}

TEST_F(HistoryStore, ListsTheNewestFirstByWhatIsAskedFor) {
  open();
  run("d1", "a", "builded");
  run("d2", "a", "failed");
  run("d3", "b", "builded");
  run("d4", "b", "failed");
  close();
  EXPECT_THAT(folder_.names(), ElementsAre("d4", "d3", "d2", "d1"));
  EXPECT_THAT(folder_.names({.most = 2}), ElementsAre("d4", "d3"));
  EXPECT_THAT(folder_.names({.before = folder_.list()[1].id}), ElementsAre("d2", "d1"));
  EXPECT_THAT(folder_.names({.service = "a"}), ElementsAre("d2", "d1"));
  EXPECT_THAT(folder_.names({.outcome = "failed"}), ElementsAre("d4", "d2"));
  EXPECT_THAT(folder_.names({.service = "b", .outcome = "failed"}), ElementsAre("d4"));
  EXPECT_THAT(folder_.names({.outcome = std::string(ports::k_running)}), IsEmpty());
  EXPECT_THAT(folder_.names({.service = "' OR 1 = 1 --"}), IsEmpty());
  EXPECT_THAT(folder_.names({.since = folder_.list()[3].started}).size(), 4U);
  EXPECT_THAT(folder_.names({.since = folder_.list()[0].started + 1h}), IsEmpty());
  EXPECT_TRUE(folder_.reader()->find(domain::DeploymentId("none"))->empty());
  EXPECT_TRUE(folder_.reader()->log(99, 0, 10)->empty());
}

TEST_F(HistoryStore, EveryAttemptOfADeploymentIsThere) {
  open();
  run("d1");
  run("d1");
  close();
  const auto found = folder_.reader()->find(domain::DeploymentId("d1"));
  ASSERT_EQ(found->size(), 2U);
  EXPECT_GT((*found)[0].run.id, (*found)[1].run.id);
}

TEST_F(HistoryStore, ARunWhoseWriterIsGoneIsInterrupted) {
  open();
  auto record = history_->begin(start_of("d1"));
  ASSERT_TRUE(eventually([&] { return folder_.seen().size() == 1; }));
  EXPECT_THAT(folder_.names({.outcome = std::string(ports::k_running)}), ElementsAre("d1"));
  EXPECT_THAT(folder_.names({.outcome = std::string(ports::k_interrupted)}), IsEmpty());
  // As one that was killed leaves it: nobody holds the lock of this number.
  folder_.execute("UPDATE runs SET writer = 4711");
  EXPECT_THAT(folder_.names({.outcome = std::string(ports::k_running)}), IsEmpty());
  EXPECT_THAT(folder_.names({.outcome = std::string(ports::k_interrupted)}), ElementsAre("d1"));
  EXPECT_EQ(folder_.list()[0].end.outcome, ports::k_interrupted);
  EXPECT_EQ(folder_.list()[0].ended, std::nullopt);
  // One that only looked so has its end all the same.
  record->end(end_of("builded"));
  record.reset();
  close();
  EXPECT_EQ(folder_.list()[0].end.outcome, "builded");
}

TEST_F(HistoryStore, ARecordThatEndsWithoutAWordIsInterrupted) {
  open();
  history_->begin(start_of("d1"))->row(LogType::info, "one");
  close();
  EXPECT_EQ(folder_.list()[0].end.outcome, ports::k_interrupted);
  EXPECT_THAT(folder_.lines("d1"), ElementsAre("one"));
}

TEST_F(HistoryStore, TextsOfStrangersComeBackAsTheyAre) {
  const std::string odd = std::string("a\0'b\"", 5) + "\xff\xfe; DROP TABLE runs; --\n\xe2\x80\xae";
  open();
  {
    ports::RunStart start = start_of("d1");
    start.branch = odd;
    start.variables = {odd};
    const auto record = history_->begin(start);
    record->step({.name = odd});
    record->row(LogType::stdout_, odd);
    record->row(LogType::stdout_, std::string(1024 * 1024, 'x'));
    record->row(LogType::stdout_, "");
    ports::RunEnd end = end_of("failed");
    end.line = odd;
    record->end(end);
  }
  close();
  const ports::KeptRunDetails kept = folder_.find("d1");
  EXPECT_EQ(kept.run.start.branch, odd);
  EXPECT_EQ(kept.run.start.variables.size(), 1U);
  EXPECT_EQ(kept.run.end.line, odd);
  EXPECT_EQ(kept.steps[0].name, odd);
  const auto lines = folder_.lines("d1");
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[0], odd);
  EXPECT_EQ(lines[1].size(), 64U * 1024);
  EXPECT_TRUE(lines[1].ends_with("x…"));
  EXPECT_EQ(lines[2], "");
}

TEST_F(HistoryStore, LongLogsLoseTheirMiddle) {
  open({.age = std::chrono::hours(1), .bytes = 16 * 1024 * 1024});  // A log's head: 512 KiB.
  constexpr int k_rows = 40'000;
  std::string row(90, 'x');
  {
    const auto record = history_->begin(start_of("d1"));
    for (int i = 0; i < k_rows; ++i) {
      record->row(LogType::stdout_, std::to_string(i) + row);
      if (i % 2000 == 0) {
        // Not faster than it can be written: what is lost then is another matter.
        ASSERT_TRUE(eventually([&] {
          const auto reader = open_history(folder_.path());
          const auto runs = reader ? (*reader)->find(domain::DeploymentId("d1"))
                                   : failure(ErrorKind::not_found, "");
          return runs && !runs->empty() && runs->front().rows == static_cast<std::uint64_t>(i + 1);
        }));
      }
    }
    record->end(end_of("builded"));
  }
  close();
  const ports::KeptRunDetails kept = folder_.find("d1");
  EXPECT_EQ(kept.rows, static_cast<std::uint64_t>(k_rows));
  const auto rows = *folder_.reader()->log(kept.run.id, 0, k_rows);
  EXPECT_EQ(rows.size(), kept.rows - kept.rows_lost);
  EXPECT_EQ(rows.front().number, 0U);
  EXPECT_EQ(rows.back().number, static_cast<std::uint64_t>(k_rows - 1));
  std::size_t bytes = 0;
  std::size_t gaps = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i].line, std::to_string(rows[i].number) + row);
    bytes += rows[i].line.size();
    gaps += i > 0 && rows[i].number != rows[i - 1].number + 1 ? 1U : 0U;
  }
  EXPECT_EQ(gaps, 1U);
  EXPECT_GT(bytes, 600U * 1024);
  EXPECT_LT(bytes, 1200U * 1024);
  // Whoever reads on from within the gap finds the next that is kept.
  const auto behind = *folder_.reader()->log(kept.run.id, k_rows / 2, 1);
  ASSERT_EQ(behind.size(), 1U);
  EXPECT_GT(behind[0].number, static_cast<std::uint64_t>(k_rows / 2));
}

TEST_F(HistoryStore, RowsThatCannotBeWrittenInTimeAreCounted) {
  open();
  {
    const auto record = history_->begin(start_of("d1"));
    const std::string line(1000, 'x');
    for (int i = 0; i < 300'000; ++i) {
      record->row(LogType::stdout_, line);
    }
    record->end(end_of("builded"));
  }
  close();
  const ports::KeptRunDetails kept = folder_.find("d1");
  EXPECT_EQ(kept.rows, 300'000U);
  EXPECT_EQ(folder_.reader()->log(kept.run.id, 0, 1'000'000)->size(), kept.rows - kept.rows_lost);
  EXPECT_GT(kept.rows_lost, 0U);
  EXPECT_THAT(metrics_.render(), HasSubstr("deployra_builder_history_rows_lost_total"));
}

TEST_F(HistoryStore, NobodyElseMayReadTheFile) {
  const mode_t before = ::umask(0);
  open();
  run("d1");
  ASSERT_TRUE(eventually([&] { return folder_.seen().size() == 1; }));
  ::umask(before);
  for (const char* name : {"history.db", "history.db-wal", "history.db-shm", "history.lock"}) {
    struct stat status{};
    ASSERT_EQ(::stat((folder_.path() + "/" + name).c_str(), &status), 0) << name;
    EXPECT_EQ(status.st_mode & 07777U, 0600U) << name;
  }
}

TEST_F(HistoryStore, ADamagedFileIsMovedAsideAndANewOneBegins) {
  ASSERT_TRUE(make_directories(folder_.path()));
  std::ofstream(folder_.file()) << std::string(100'000, 'x');
  open();
  run("d1");
  close();
  EXPECT_THAT(folder_.names(), ElementsAre("d1"));
  EXPECT_THAT(said_->lines(), ElementsAre(HasSubstr("damaged")));
  EXPECT_TRUE(std::ifstream(folder_.path() + "/history.damaged.db").good());
}

TEST_F(HistoryStore, AFileThatIsDamagedWhileItIsInUseIsReplacedToo) {
  open();
  for (int i = 0; i < 200; ++i) {
    run("old" + std::to_string(i));
  }
  close();
  {
    std::fstream file(folder_.file(), std::ios::in | std::ios::out);
    file.seekg(0, std::ios::end);
    const auto size = file.tellg();
    // Everything but the first page, which says what the file is.
    file.seekp(4096);
    file << std::string(static_cast<std::size_t>(size) - 4096, 'x');
  }
  open();
  run("d1");
  ASSERT_TRUE(eventually([&] { return folder_.seen().size() == 1; }));
  EXPECT_THAT(folder_.names(), ElementsAre("d1"));
  EXPECT_THAT(said_->lines()[0], HasSubstr("damaged"));
}

TEST_F(HistoryStore, AFileOfANewerVersionIsLeftAlone) {
  open();
  run("d1");
  close();
  folder_.execute("PRAGMA user_version = 99");
  open();
  run("d2");
  close();
  EXPECT_THAT(said_->lines(),
              ElementsAre(testing::AllOf(HasSubstr("HISTORY_DIR"), HasSubstr("version 99"))));
  EXPECT_EQ(open_history(folder_.path()).error().kind, ErrorKind::conflict);
  folder_.execute("PRAGMA user_version = 1");
  EXPECT_THAT(folder_.names(), ElementsAre("d1"));
}

TEST_F(HistoryStore, AFileThatIsMigratedWhileItIsInUseIsLeftAlone) {
  open();
  run("d1");
  ASSERT_TRUE(eventually([&] { return folder_.seen().size() == 1; }));
  folder_.execute("PRAGMA user_version = 99");
  run("d2");
  close();
  folder_.execute("PRAGMA user_version = 1");
  EXPECT_THAT(folder_.names(), ElementsAre("d1"));
}

TEST_F(HistoryStore, AFolderThatIsRemovedIsMadeAgain) {
  open();
  const auto record = history_->begin(start_of("d1"));
  record->step({.name = "first"});
  record->row(LogType::info, "before");
  ASSERT_TRUE(eventually([&] { return folder_.seen().size() == 1; }));
  ASSERT_TRUE(remove_tree(folder_.path()));
  record->step({.name = "second"});
  record->row(LogType::info, "after");
  record->end(end_of("builded"));
  ASSERT_TRUE(eventually([&] {
    const auto runs = folder_.seen();
    return runs.size() == 1 && runs.front().ended;
  }));
  const ports::KeptRunDetails kept = folder_.find("d1");
  EXPECT_EQ(kept.steps.size(), 2U);
  EXPECT_EQ(kept.rows, 2U);
  EXPECT_EQ(folder_.lines("d1").back(), "after");
  EXPECT_THAT(said_->lines(), ElementsAre(HasSubstr("removed")));
}

TEST_F(HistoryStore, AFolderThatCannotBeWrittenIsSaidOnceAndWaitedFor) {
  // Also root cannot make a folder where a file is.
  std::ofstream(folder_.path()) << "a file";
  open();
  run("d1");
  ASSERT_TRUE(eventually([&] { return !said_->lines().empty(); }));
  ASSERT_EQ(::remove(folder_.path().c_str()), 0);
  ASSERT_TRUE(eventually([&] { return folder_.seen().size() == 1; }));
  EXPECT_THAT(said_->lines(), ElementsAre(HasSubstr("HISTORY_DIR")));
}

TEST_F(HistoryStore, ALockThatIsRemovedIsMadeAgain) {
  open();
  const auto record = history_->begin(start_of("d1"));
  ASSERT_TRUE(eventually([&] { return folder_.seen().size() == 1; }));
  ASSERT_EQ(::remove((folder_.path() + "/history.lock").c_str()), 0);
  record->row(LogType::info, "one");
  ASSERT_TRUE(eventually([&] {
    return folder_.list()[0].end.outcome == ports::k_running && folder_.list().size() == 1;
  }));
}

TEST_F(HistoryStore, WithoutAFileThereIsNothingToRead) {
  EXPECT_EQ(open_history(folder_.path()).error().kind, ErrorKind::not_found);
  ASSERT_TRUE(make_directories(folder_.path()));
  std::ofstream(folder_.file()) << "";
  EXPECT_EQ(open_history(folder_.path()).error().kind, ErrorKind::not_found);
  std::ofstream(folder_.file()) << std::string(10'000, 'x');
  EXPECT_EQ(open_history(folder_.path()).error().kind, ErrorKind::invalid_input);
}

}  // namespace
}  // namespace builder::adapters::history
