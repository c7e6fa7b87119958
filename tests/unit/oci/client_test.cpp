#include "adapters/oci/client.hpp"

#include "base/text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>

namespace builder::adapters::oci {
namespace {

using testing::HasSubstr;

/// Answers from a script and keeps what was asked.
class ScriptedHttp final : public http::Client {
 public:
  using Answer = std::function<Result<http::Response>(const http::Request&)>;

  Result<http::Response> send(const http::Request& request, const std::stop_token&,
                              SteadyTime) override {
    requests.push_back(request);
    if (answers.empty()) {
      return failure(ErrorKind::internal, "unexpected request to " + request.url);
    }
    Answer answer = std::move(answers.front());
    answers.pop_front();
    auto response = answer(request);
    if (response && response->body.size() > request.max_body) {
      return failure(ErrorKind::internal, "the answer is larger than allowed");
    }
    return response;
  }

  [[nodiscard]] http::FailureCounts failures() const override { return {}; }

  void then(int status, std::string body = {}, std::vector<http::Header> headers = {}) {
    answers.emplace_back([=](const http::Request&) -> Result<http::Response> {
      return http::Response{.status = status, .headers = headers, .body = body};
    });
  }

  void then_fail(ErrorKind kind) {
    answers.emplace_back([=](const http::Request&) -> Result<http::Response> {
      return failure(kind, "no exchange");
    });
  }

  [[nodiscard]] std::string authorization(std::size_t index) const {
    for (const http::Header& header : requests.at(index).headers) {
      if (header.name == "Authorization") {
        return header.value;
      }
    }
    return {};
  }

  std::deque<Answer> answers;
  std::vector<http::Request> requests;
};

class OneLogin final : public ports::RegistryLogins {
 public:
  Result<ports::SharedLogin> login(const ports::JobContext&, const std::string& host) override {
    return host == k_host ? current : nullptr;
  }

  void renew(const std::string&, const ports::SharedLogin&) override {
    ++renewals;
    if (next != nullptr) {
      current = next;
    }
  }

  static constexpr std::string_view k_host = "registry.example.com";

  static ports::SharedLogin make(std::string password) {
    return std::make_shared<ports::RegistryLogin>(
        ports::RegistryLogin{.username = "AWS", .password = Secret(std::move(password))});
  }

  ports::SharedLogin current = make("one");
  ports::SharedLogin next;
  int renewals = 0;
};

class NoLog final : public LogSink {
 public:
  void write(LogLevel, std::string_view) override {}

  [[nodiscard]] bool enabled(LogLevel) const override { return false; }
};

const std::vector<http::Header> k_basic{{"WWW-Authenticate", "Basic realm=\"x\""}};
const std::string k_body = R"({"mediaType":"application/vnd.oci.image.manifest.v1+json"})";
const std::string k_body_digest = "sha256:" + sha256_hex(k_body);

class ClientTest : public testing::Test {
 protected:
  Result<Manifest> get() { return client->manifest(job, reference); }

  ScriptedHttp http;
  OneLogin logins;
  std::stop_source stop;
  ports::JobContext job{.deployment_id = domain::DeploymentId("d"),
                        .stop = stop.get_token(),
                        .deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1)};
  Reference reference{
      .host = "registry.example.com", .repository = "deployra/s", .tag = "t", .digest = {}};
  std::unique_ptr<Client> client = make_client(
      {.attempts = 3,
       .backoff = {.base = std::chrono::milliseconds(1), .cap = std::chrono::milliseconds(2)}},
      http, logins, Log(std::make_shared<NoLog>()));
};

TEST_F(ClientTest, ShowsItsLoginOnlyWhenAskedAndThenAtOnce) {
  http.then(401, "", k_basic);
  http.then(200, k_body);
  http.then(200, k_body);
  ASSERT_TRUE(get());
  ASSERT_TRUE(get());
  EXPECT_EQ(http.authorization(0), "");
  EXPECT_EQ(http.authorization(1), "Basic " + base64_encode("AWS:one"));
  EXPECT_EQ(http.authorization(2), http.authorization(1));
  EXPECT_EQ(http.requests[2].url, "https://registry.example.com/v2/deployra/s/manifests/t");
}

TEST_F(ClientTest, RenewsARefusedLoginOnce) {
  logins.next = OneLogin::make("two");
  http.then(401, "", k_basic);
  http.then(
      403,
      R"({"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]})");
  http.then(200, k_body);
  ASSERT_TRUE(get());
  EXPECT_EQ(http.authorization(2), "Basic " + base64_encode("AWS:two"));
  EXPECT_EQ(logins.renewals, 1);
}

TEST_F(ClientTest, GivesUpWhenTheLoginStaysRefused) {
  for (int i = 0; i < 3; ++i) {
    http.then(401, "", k_basic);
  }
  const auto manifest = get();
  EXPECT_EQ(manifest.error().kind, ErrorKind::denied);
  EXPECT_EQ(http.requests.size(), 3U);
  EXPECT_EQ(logins.renewals, 1);
}

TEST_F(ClientTest, EndsWithARegistryThatAsksForSomethingElseEachTime) {
  for (int i = 0; i < 20; ++i) {
    http.then(401, "", {{"WWW-Authenticate", "Basic realm=\"" + std::to_string(i) + "\""}});
  }
  EXPECT_EQ(get().error().kind, ErrorKind::denied);
  EXPECT_LE(http.requests.size(), 4U);
}

TEST_F(ClientTest, FetchesABearerTokenAndKeepsIt) {
  http.then(
      401, "",
      {{"WWW-Authenticate", R"(Bearer realm="https://auth.example.com/token?a=b",service="s v")"}});
  http.then(200, R"({"access_token":"tok","expires_in":300})");
  http.then(200, k_body);
  http.then(200, k_body);
  ASSERT_TRUE(get());
  ASSERT_TRUE(get());
  EXPECT_EQ(http.requests[1].url,
            "https://auth.example.com/token?a=b&service=s%20v&scope=repository:deployra/s:pull");
  EXPECT_EQ(http.authorization(1), "Basic " + base64_encode("AWS:one"));
  EXPECT_EQ(http.authorization(2), "Bearer tok");
  EXPECT_EQ(http.authorization(3), "Bearer tok");
}

TEST_F(ClientTest, ATokenServiceElsewhereGetsNoLogin) {
  http.then(401, "", {{"WWW-Authenticate", R"(Bearer realm="https://evil.test/t",service="s")"}});
  http.then(200, R"({"token":"anonymous"})");
  http.then(200, k_body);
  ASSERT_TRUE(get());
  EXPECT_EQ(http.authorization(1), "");
  EXPECT_EQ(http.authorization(2), "Bearer anonymous");
}

TEST_F(ClientTest, ATokenServiceWithoutTlsOrOnLoopbackIsNotEvenAsked) {
  for (const char* realm : {"http://auth.example.com/t", "http://127.0.0.1:80/t", "file:///x"}) {
    http.requests.clear();
    http.then(401, "", {{"WWW-Authenticate", "Bearer realm=\"" + std::string(realm) + "\""}});
    EXPECT_EQ(get().error().kind, ErrorKind::internal) << realm;
    EXPECT_EQ(http.requests.size(), 1U);
    client = make_client({.attempts = 1}, http, logins, Log(std::make_shared<NoLog>()));
  }
}

TEST_F(ClientTest, AsksABusyRegistryAgainAndTellsItsWordsAtTheEnd) {
  http.then(503);
  http.then_fail(ErrorKind::unavailable);
  http.then(200, k_body);
  ASSERT_TRUE(get());
  for (int i = 0; i < 3; ++i) {
    http.then(429, R"({"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]})");
  }
  const auto busy = get();
  EXPECT_EQ(busy.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(busy.error().message, HasSubstr("TOOMANYREQUESTS: Rate exceeded"));
}

TEST_F(ClientTest, AMissingManifestIsNotAskedForAgain) {
  http.then(404, R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]})");
  EXPECT_EQ(get().error().kind, ErrorKind::not_found);
  EXPECT_EQ(http.requests.size(), 1U);
}

TEST_F(ClientTest, ALyingRegistryIsNotBelieved) {
  reference.digest = "sha256:" + std::string(64, '0');
  http.then(200, k_body);
  EXPECT_EQ(get().error().kind, ErrorKind::internal);
  reference.digest.clear();
  http.then(200, k_body, {{"Docker-Content-Digest", "sha256:" + std::string(64, '1')}});
  EXPECT_EQ(get().error().kind, ErrorKind::internal);
  http.then(200, "x");
  EXPECT_EQ(client->blob(job, reference, k_body_digest, 100).error().kind, ErrorKind::internal);
  http.then(200, std::string(101, 'x'));
  EXPECT_EQ(client->blob(job, reference, k_body_digest, 100).error().kind, ErrorKind::internal);
}

TEST_F(ClientTest, PutsTheManifestAndMakesSureOfIt) {
  const Manifest manifest{.bytes = k_body, .media_type = "m/t", .digest = k_body_digest};
  http.then(201, "", {{"Docker-Content-Digest", k_body_digest}});
  ASSERT_TRUE(client->put(job, reference, manifest));
  EXPECT_EQ(http.requests[0].body, k_body);
  EXPECT_EQ(http.requests[0].headers[0].value, "m/t");
  http.then(201, "", {{"Docker-Content-Digest", "sha256:" + std::string(64, '1')}});
  EXPECT_FALSE(client->put(job, reference, manifest));
  http.then(201);
  http.then(200, "", {{"Docker-Content-Digest", k_body_digest}});
  EXPECT_TRUE(client->put(job, reference, manifest));
  http.then(
      400,
      R"({"errors":[{"code":"TAG_INVALID","message":"The image tag 't' already exists and cannot be overwritten because the tag is immutable."}]})");
  EXPECT_EQ(client->put(job, reference, manifest).error().kind, ErrorKind::conflict);
}

TEST_F(ClientTest, FollowsABlobElsewhereWithoutTheLogin) {
  http.then(401, "", k_basic);
  http.then(307, "", {{"Location", "https://bucket.s3.test/x?sig=1"}});
  http.then(200, k_body);
  const auto blob = client->blob(job, reference, k_body_digest, 100);
  ASSERT_TRUE(blob) << blob.error().message;
  EXPECT_EQ(http.requests[2].url, "https://bucket.s3.test/x?sig=1");
  EXPECT_EQ(http.authorization(2), "");
  for (const char* target : {"http://169.254.169.254/latest", "file:///etc/passwd", ""}) {
    for (int i = 0; i < 3; ++i) {
      http.then(302, "", {{"Location", target}});
    }
    const auto refused = client->blob(job, reference, k_body_digest, 100);
    EXPECT_EQ(refused.error().kind, ErrorKind::unavailable) << target;
    EXPECT_THAT(refused.error().message, HasSubstr("302, a redirect to ")) << target;
    EXPECT_TRUE(http.answers.empty());
  }
}

TEST_F(ClientTest, ChoosesLinuxAmd64OutOfAnIndex) {
  const std::string config = R"({"architecture":"amd64"})";
  const std::string image = R"({"config":{"digest":"sha256:)" + sha256_hex(config) + R"("}})";
  const std::string index =
      R"({"manifests":[{"digest":"sha256:0","platform":{"os":"linux","architecture":"arm64"}},7,)"
      R"({"digest":"sha256:1","platform":{"os":"unknown","architecture":"unknown"}},)"
      R"({"digest":"sha256:)" +
      sha256_hex(image) + R"(","platform":{"os":"linux","architecture":"amd64"}}]})";
  http.then(200, index);
  http.then(200, image);
  http.then(200, config);
  const auto found = client->image(job, reference);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->config, config);
  EXPECT_EQ(found->manifest.digest, "sha256:" + sha256_hex(image));
  EXPECT_EQ(found->reference.digest, "sha256:" + sha256_hex(index));
  http.then(200, R"({"manifests":[]})");
  EXPECT_EQ(client->image(job, reference).error().kind, ErrorKind::not_found);
  http.then(200, "{}");
  EXPECT_EQ(client->image(job, reference).error().kind, ErrorKind::internal);
}

TEST_F(ClientTest, AStopEndsTheWaiting) {
  stop.request_stop();
  http.then(503);
  EXPECT_EQ(get().error().kind, ErrorKind::cancelled);
}

TEST_F(ClientTest, UploadsABlobToWhereTheRegistrySays) {
  for (const std::string place : {"/v2/deployra/s/blobs/uploads/one?state=x",
                                  "https://registry.example.com/v2/deployra/s/blobs/uploads/one"}) {
    http.requests.clear();
    http.then(202, "", {{"Location", place}});
    http.then(201);
    ASSERT_TRUE(client->push_blob(job, reference, "bytes"));
    EXPECT_EQ(http.requests[0].method, http::Method::post);
    EXPECT_EQ(http.requests[0].url, "https://registry.example.com/v2/deployra/s/blobs/uploads/");
    EXPECT_EQ(http.requests[1].method, http::Method::put);
    EXPECT_EQ(http.requests[1].body, "bytes");
    EXPECT_TRUE(http.requests[1].url.starts_with(
        "https://registry.example.com/v2/deployra/s/blobs/uploads/one?"));
    EXPECT_TRUE(http.requests[1].url.ends_with("digest=sha256:" + sha256_hex("bytes")));
  }
}

TEST_F(ClientTest, UploadsABlobToNoOtherPlace) {
  reference.repository = "deployra/a-longer-name-than-that-of-the-registry";
  for (const char* place :
       {"https://evil.example.com/v2/deployra/s/blobs/uploads/one", "https://registry.example.com",
        "https://registry.example.com/v2/another/blobs/uploads/one", "/", "one"}) {
    http.requests.clear();
    http.then(202, "", {{"Location", place}});
    const auto pushed = client->push_blob(job, reference, "bytes");
    ASSERT_FALSE(pushed) << place;
    EXPECT_EQ(pushed.error().kind, ErrorKind::internal) << place;
    EXPECT_EQ(http.requests.size(), 1U) << place;
  }
}

TEST(Layers, AreReadFromWhatIsAManifestAndOnlyAsAWhole) {
  const std::string a = "sha256:" + sha256_hex("a");
  const std::string b = "sha256:" + sha256_hex("b");
  const auto layers = [](const std::string& list) {
    return layers_of({.bytes = R"({"schemaVersion":2,"layers":)" + list + "}"});
  };
  const auto entry = [](const std::string& digest, const std::string& size) {
    return R"({"digest":")" + digest + R"(","size":)" + size + "}";
  };
  EXPECT_EQ(layers("[" + entry(a, "7") + "," + entry(b, "9") + "," + entry(a, "7") + "]"),
            (domain::ImageLayers{{a, 7}, {b, 9}}));
  for (const std::string& odd :
       {entry("sha256:../x", "7"), entry(b, "-1"), entry(b, "\"9\""), entry(b, "1e3"),
        entry(b, "18446744073709551615"), std::string("7"), std::string("{}")}) {
    EXPECT_TRUE(layers("[" + entry(a, "7") + "," + odd + "]").empty()) << odd;
  }
  EXPECT_TRUE(layers("{}").empty());
  EXPECT_TRUE(layers_of({.bytes = R"({"manifests":[]})"}).empty()) << "an index";
  EXPECT_TRUE(layers_of({.bytes = "no JSON"}).empty());
}

TEST_F(ClientTest, StreamsABlobFromWhereItLiesAndStartsAnewWithEachTry) {
  std::string got;
  int begun = 0;
  const BlobTaker taker{.begin =
                            [&] {
                              ++begun;
                              got.clear();
                            },
                        .take =
                            [&](std::string_view bytes) {
                              got += bytes;
                              return true;
                            }};
  const auto stream = [](const std::string& body, ErrorKind then) {
    return [=](const http::Request& request) -> Result<http::Response> {
      EXPECT_EQ(request.timeout.count(), 0) << "a large blob takes its time";
      EXPECT_GT(request.idle_timeout.count(), 0);
      EXPECT_TRUE(request.on_body(body));
      return then == ErrorKind::internal ? Result<http::Response>(http::Response{.status = 200})
                                         : failure(then, "cut short");
    };
  };
  const std::string digest = "sha256:" + sha256_hex("whatever");
  http.then(401, "", k_basic);
  http.then(307, "", {{"Location", "https://blobs.example.net/x"}});
  http.answers.emplace_back(stream("first ha", ErrorKind::unavailable));
  http.then(307, "", {{"Location", "https://blobs.example.net/x"}});
  http.answers.emplace_back(stream("whole", ErrorKind::internal));
  const auto streamed = client->stream_blob(job, reference, digest, taker);
  ASSERT_TRUE(streamed) << streamed.error().message;
  EXPECT_EQ(got, "whole");
  EXPECT_GE(begun, 2);
  EXPECT_EQ(http.requests.back().url, "https://blobs.example.net/x");
  EXPECT_EQ(http.authorization(http.requests.size() - 1), "");
  EXPECT_EQ(client->stream_blob(job, reference, "sha256:../x", taker).error().kind,
            ErrorKind::internal);
}

}  // namespace
}  // namespace builder::adapters::oci
