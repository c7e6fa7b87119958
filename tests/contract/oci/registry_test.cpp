#include "adapters/oci/client.hpp"
#include "adapters/oci/configured_logins.hpp"
#include "adapters/oci/referrers.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::oci {
namespace {

using testing::HasSubstr;

/// No registry of ours here: only what a test enters.
class NoLogins final : public ports::RegistryLogins {
 public:
  Result<ports::SharedLogin> login(const ports::JobContext&, const std::string&) override {
    return nullptr;
  }

  void renew(const std::string&, const ports::SharedLogin&) override { ++renewals; }

  int renewals = 0;
};

class NoLog final : public LogSink {
 public:
  void write(LogLevel, std::string_view) override {}

  [[nodiscard]] bool enabled(LogLevel) const override { return false; }
};

/// Against Debian's docker-registry (open, with a password file, with a token service) and the
/// stand-in of ECR, each with the image `team/base:1`. Without them skipped; with CI=true failed.
class RegistryTest : public testing::Test {
 protected:
  static std::string environment(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
  }

  void SetUp() override {
    if (environment("OCI_OPEN").empty()) {
      if (environment("CI") == "true") {
        FAIL() << "OCI_OPEN is not set";
      }
      GTEST_SKIP() << "needs registries: run by ./test contract";
    }
  }

  Client& client(LoginTable table = {}) {
    logins = std::make_unique<ConfiguredLogins>(none, std::move(table));
    made = make_client(
        {.attempts = 3,
         .backoff = {.base = std::chrono::milliseconds(10), .cap = std::chrono::milliseconds(20)}},
        *http, *logins, Log(std::make_shared<NoLog>()));
    return *made;
  }

  static LoginTable known(const std::string& host, const std::string& user,
                          const std::string& password) {
    LoginTable table;
    table[host] = {.username = user, .password = Secret(password)};
    return table;
  }

  static Reference base(const std::string& host, const std::string& tag = "1") {
    return {.host = host, .repository = "team/base", .tag = tag, .digest = {}};
  }

  NoLogins none;
  std::unique_ptr<ConfiguredLogins> logins;
  std::unique_ptr<http::Client> http = http::make_client();
  std::unique_ptr<Client> made;
  ports::JobContext job{.deployment_id = domain::DeploymentId("contract"),
                        .stop = {},
                        .deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1)};
  const std::string open = environment("OCI_OPEN");
  const std::string basic = environment("OCI_BASIC");
  const std::string bearer = environment("OCI_BEARER");
  const std::string ecr = environment("OCI_ECR");
  const std::string user = environment("OCI_USER");
  const std::string password = environment("OCI_PASSWORD");
};

TEST_F(RegistryTest, ReadsAnImageAndItsConfiguration) {
  const auto image = client().image(job, base(open));
  ASSERT_TRUE(image) << image.error().message;
  const auto config = nlohmann::json::parse(image->config);
  EXPECT_EQ(config.at("architecture"), "amd64");
  EXPECT_EQ(image->reference.digest, image->manifest.digest);
  const auto again = made->manifest(job, image->reference);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->bytes, image->manifest.bytes);
  const auto head = made->head(job, base(open));
  ASSERT_TRUE(head) << head.error().message;
  EXPECT_EQ(head->digest, image->manifest.digest);
  EXPECT_EQ(head->media_type, image->manifest.media_type);
}

TEST_F(RegistryTest, MovesATag) {
  const auto manifest = client().manifest(job, base(open));
  ASSERT_TRUE(manifest) << manifest.error().message;
  const auto moved = made->put(job, base(open, "latest"), *manifest);
  ASSERT_TRUE(moved) << moved.error().message;
  EXPECT_EQ(made->head(job, base(open, "latest"))->digest, manifest->digest);
}

TEST_F(RegistryTest, SaysWhatIsNotThere) {
  EXPECT_EQ(client().manifest(job, base(open, "no-such-tag")).error().kind, ErrorKind::not_found);
  Reference nothing = base(open);
  nothing.repository = "no/such/repository";
  EXPECT_EQ(made->image(job, nothing).error().kind, ErrorKind::not_found);
  const auto blob = made->blob(job, base(open), "sha256:" + std::string(64, '0'), 1000);
  EXPECT_EQ(blob.error().kind, ErrorKind::not_found);
  const auto away = made->manifest(job, base("127.0.0.1:1"));
  EXPECT_EQ(away.error().kind, ErrorKind::unavailable) << away.error().message;
}

TEST_F(RegistryTest, LogsInWithAPassword) {
  EXPECT_EQ(client().image(job, base(basic)).error().kind, ErrorKind::denied);
  EXPECT_EQ(client(known(basic, user, "wrong")).image(job, base(basic)).error().kind,
            ErrorKind::denied);
  EXPECT_EQ(client(known("127.0.0.1:2", user, password)).image(job, base(basic)).error().kind,
            ErrorKind::denied);
  const auto image = client(known(basic, user, password)).image(job, base(basic));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_TRUE(made->put(job, base(basic, "copy"), image->manifest));
}

TEST_F(RegistryTest, LogsInWithAToken) {
  const std::string named = "localhost" + bearer.substr(bearer.find(':'));
  EXPECT_EQ(client().image(job, base(named)).error().kind, ErrorKind::denied);
  EXPECT_EQ(client(known(named, user, "wrong")).image(job, base(named)).error().kind,
            ErrorKind::denied);
  const auto image = client(known(named, user, password)).image(job, base(named));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_TRUE(made->put(job, base(named, "copy"), image->manifest)) << "a token for pushing";
}

TEST_F(RegistryTest, ATokenServiceOfAnotherHostSeesNoLogin) {
  // The same registry by its address: its realm, at `localhost`, is then somewhere else.
  const auto asked = [this] {
    const auto answer =
        http->send({.url = environment("OCI_TOKENS") + "/asked", .direct = true}, {}, job.deadline);
    return answer ? nlohmann::json::parse(answer->body) : nlohmann::json::array();
  };
  const auto before = asked().size();
  const auto image = client(known(bearer, user, password)).image(job, base(bearer));
  EXPECT_EQ(image.error().kind, ErrorKind::denied) << image.error().message;
  const auto after = asked();
  ASSERT_GT(after.size(), before);
  for (std::size_t i = before; i < after.size(); ++i) {
    EXPECT_EQ(after[i], "");
  }
}

TEST_F(RegistryTest, SpeaksWithEcr) {
  const std::string token = environment("OCI_ECR_TOKEN");
  const auto image = client(known(ecr, "AWS", token)).image(job, base(ecr));
  ASSERT_TRUE(image) << image.error().message;
  ASSERT_TRUE(made->put(job, base(ecr, "latest"), image->manifest));
  EXPECT_EQ(made->head(job, base(ecr, "latest"))->digest, image->manifest.digest);
  Reference gone = base(ecr);
  gone.repository = "no/such";
  const auto missing = made->manifest(job, gone);
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_THAT(missing.error().message, HasSubstr("does not exist in the registry"));
  Reference fixed = base(ecr, "1");
  fixed.repository = "team/immutable";
  const auto there = made->manifest(job, fixed);
  ASSERT_TRUE(there) << there.error().message;
  EXPECT_EQ(made->put(job, fixed, *there).error().kind, ErrorKind::conflict);
}

TEST_F(RegistryTest, TakesWhatIsSaidAboutAnImage) {
  for (const std::string& host : {open, ecr}) {
    client(known(ecr, "AWS", environment("OCI_ECR_TOKEN")));
    const auto image = made->head(job, base(host));
    ASSERT_TRUE(image) << image.error().message;
    const Reference subject = base(host).with_digest(image->digest);
    const std::vector<Artifact> artifacts{{.type = "application/vnd.in-toto+json",
                                           .media_type = "application/vnd.in-toto+json",
                                           .content = R"({"one":1})",
                                           .annotations = {{"n", "1"}}},
                                          {.type = "application/vnd.other",
                                           .media_type = "application/vnd.other",
                                           .content = R"({"two":2})",
                                           .annotations = {}}};
    for (int times = 0; times < 2; ++times) {
      const auto attached = attach(*made, job, subject, artifacts);
      ASSERT_TRUE(attached) << attached.error().message;
      const auto found = find_referrers(*made, job, subject);
      ASSERT_TRUE(found) << found.error().message;
      ASSERT_EQ(found->size(), 2u) << host;
      EXPECT_EQ(found->front().type, "application/vnd.in-toto+json");
      EXPECT_EQ(found->front().annotations.at("n"), "1");
      const auto manifest = made->manifest(job, subject.with_digest(found->back().digest));
      ASSERT_TRUE(manifest) << manifest.error().message;
      const auto content = nlohmann::json::parse(manifest->bytes);
      EXPECT_EQ(content.at("subject").at("digest"), image->digest);
      EXPECT_EQ(*made->blob(job, subject, content.at("layers")[0].at("digest"), 100),
                artifacts[1].content);
    }
  }
}

}  // namespace
}  // namespace builder::adapters::oci
