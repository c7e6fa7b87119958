#include "adapters/redis/leased/queue_look.hpp"

#include "adapters/redis/leased/worker_entry.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::redis {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const ports::QueueTime k_now{milliseconds(1'764'437'000'000)};

std::string ms(std::int64_t ago) {
  return std::to_string(k_now.time_since_epoch().count() - ago);
}

std::string note(const std::string& host, int pid, const std::string& deployment) {
  return ms(2'000) + " " +
         write_worker({.host = host, .pid = pid, .version = "2.0.0", .engine = "e", .slots = 2},
                      {.age = seconds(60),
                       .running = {{.deployment = domain::DeploymentId(deployment),
                                    .phase = "fetch",
                                    .age = seconds(5)}}});
}

Books some_books() {
  return {.now = k_now,
          .own = {{"d1", "lease1 s1"}, {"d2", "lease2 s2"}, {"d3", "lease1 "}},
          .attempts = {{"d2", "2"}},
          .newer = {{"d1", "d9"}},
          .workers = {{"lease2", ms(-30'000)}, {"lease1", ms(1'000)}},
          .about = {{"lease1", note("b", 2, "d1")}, {"gone", note("a", 1, "d7")}},
          .pauses = {}};
}

TEST(QueueLook, AnElementSaysWhatItIsAndNoSecret) {
  const std::string element =
      R"({"deploymentId":"d1","serviceId":"s1","commitSha":"abc1234","branch":"main",)"
      R"("repositoryName":"octo/hello","gitProvider":{"type":"GITHUB","githubAccount":)"
      R"({"username":"octo","accessToken":"gho_secret"}}})";
  const ports::WaitingJob job = read_element(element, 3);
  EXPECT_EQ(job.position, 3u);
  EXPECT_EQ(job.deployment, "d1");
  EXPECT_EQ(job.service, "s1");
  EXPECT_EQ(job.repository, "octo/hello");
  EXPECT_EQ(job.branch, "main");
  EXPECT_EQ(job.commit, "abc1234");
  EXPECT_EQ(job.bytes, element.size());
}

TEST(QueueLook, WhatIsNoJobHasNoName) {
  EXPECT_EQ(read_element("garbage", 1).deployment, "");
  EXPECT_EQ(read_element("garbage", 1).bytes, 7u);
  EXPECT_EQ(read_element(R"({"deploymentId":"../x"})", 1).deployment, "");
  // It will fail, and say so to its deployment.
  EXPECT_EQ(read_element(R"({"deploymentId":"d1","serviceId":7})", 1).deployment, "d1");
  const std::string large = R"({"deploymentId":"d1","x":")" + std::string(1u << 20, 'x') + "\"}";
  EXPECT_EQ(read_element(large, 1).deployment, "") << "workers drop it unread";
}

TEST(QueueLook, WhatRunsIsToldByItsWorkerAsFarAsThatSpeaks) {
  const auto jobs = running_of(some_books());
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_EQ(jobs[0].deployment, "d1");
  EXPECT_EQ(jobs[0].worker, "b:2");
  EXPECT_EQ(jobs[0].age, milliseconds(7'000)) << "5 s, said 2 s ago";
  EXPECT_EQ(jobs[0].phase, "fetch");
  EXPECT_EQ(jobs[0].superseded_by, "d9");
  EXPECT_EQ(jobs[1].deployment, "d2");
  EXPECT_EQ(jobs[1].worker, "") << "of an older version";
  EXPECT_EQ(jobs[1].attempt, 2);
  EXPECT_FALSE(jobs[1].age);
  EXPECT_EQ(jobs[2].deployment, "d3");
  EXPECT_EQ(jobs[2].worker, "b:2");
  EXPECT_EQ(jobs[2].service, "");
  EXPECT_FALSE(jobs[2].age) << "taken after the worker's last word";
}

TEST(QueueLook, WorkersAreThoseWithALease) {
  Books books = some_books();
  books.pauses = {{"b", R"({"note":"disk","by":"anna","since":7})"}};
  const auto workers = workers_of(books, {{.deployment = "x", .sender = "lease2"}});
  ASSERT_EQ(workers.size(), 2u) << "an entry without a lease is nobody's";
  EXPECT_EQ(workers[0].lease_id, "lease1");
  EXPECT_EQ(workers[0].lease_left, milliseconds(-1'000)) << "it is silent";
  EXPECT_EQ(workers[0].age, seconds(62));
  EXPECT_EQ(workers[0].said, seconds(2));
  EXPECT_EQ(workers[0].running, (std::vector<std::string>{"d1", "d3"}));
  ASSERT_TRUE(workers[0].pause);
  EXPECT_EQ(workers[0].pause->note, "disk");
  EXPECT_EQ(workers[1].lease_id, "lease2");
  EXPECT_EQ(workers[1].lease_left, seconds(30));
  EXPECT_FALSE(workers[1].identity);
  EXPECT_FALSE(workers[1].pause);
  EXPECT_EQ(workers[1].delivering, 1u);
}

TEST(QueueLook, APauseOfAllOrOfOneProcessIsTheWorkersToo) {
  Books books = some_books();
  for (const auto& [name, paused] :
       {std::pair("*", true), {"b", true}, {"b:2", true}, {"b:3", false}, {"c", false}}) {
    books.pauses = {{name, "{}"}};
    const auto workers = workers_of(books, {});
    EXPECT_EQ(workers[0].pause.has_value(), paused) << name;
    EXPECT_FALSE(workers[1].pause) << "an older version knows no pauses";
  }
}

TEST(QueueLook, WhatIsSetAsideWaitsForTheBuildOfItsService) {
  const auto jobs =
      set_aside_of({{"s2", R"({"deploymentId":"d5","serviceId":"s2"})"}}, some_books());
  ASSERT_EQ(jobs.size(), 1u);
  EXPECT_EQ(jobs[0].deployment, "d5");
  EXPECT_EQ(jobs[0].position, 0u);
  EXPECT_EQ(jobs[0].behind, "d2");
}

TEST(QueueLook, AnEndSaysHowAndSinceWhen) {
  const auto end =
      read_end("d1", "lease1 " + ms(3'000) + R"( {"status":"CANCELLED","reason":"user"})", k_now);
  EXPECT_EQ(end.sender, "lease1");
  EXPECT_EQ(end.age, seconds(3));
  EXPECT_EQ(end.status, "CANCELLED");
  EXPECT_EQ(end.reason, "user");
  EXPECT_EQ(read_end("d1", "- 5 {}", k_now).sender, "");
  EXPECT_EQ(read_end("d1", "nonsense", k_now).status, "");
}

TEST(QueueLook, ADeadLetterIsReadAsScriptsWriteIt) {
  const std::string entry = R"({"length":12,"time":1764437000123,"reason":"no job","sha1":"ab"})";
  const ports::DeadLetter letter = read_letter(entry);
  EXPECT_EQ(letter.reason, "no job");
  EXPECT_EQ(letter.deployment, "");
  EXPECT_EQ(letter.bytes, 12u);
  EXPECT_EQ(letter.time.time_since_epoch().count(), 1'764'437'000'123);
  EXPECT_EQ(letter.entry, entry) << "to be dropped by";
  EXPECT_EQ(read_letter(R"({"time":1.764437e+12})").time, k_now);
  EXPECT_EQ(read_letter("x").entry, "x");
}

}  // namespace
}  // namespace builder::adapters::redis
