#include "adapters/docker/engine_address.hpp"
#include "adapters/docker/json_lines.hpp"
#include "adapters/docker/push_stream.hpp"
#include "adapters/docker/registry_auth.hpp"
#include "fakes/random_text.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace builder::adapters::docker {
namespace {

TEST(RegistryAuth, UsesTheUrlAlphabetWithPadding) {
  EXPECT_EQ(base64_url("\xFB\xFF\xFE"), "-__-");
  EXPECT_EQ(base64_url("a"), "YQ==");
  EXPECT_EQ(base64_url("ab"), "YWI=");
  EXPECT_EQ(base64_url("abc"), "YWJj");
  EXPECT_EQ(base64_url("?>~"), "Pz5-");
  const std::string header =
      registry_auth_header({.username = "AWS", .password = Secret("p:a/s+s=\"")}).reveal();
  EXPECT_FALSE(header.contains('+') || header.contains('/'));
  EXPECT_EQ(header.size() % 4, 0u);
}

TEST(PushStream, OnlyADigestWithoutAnErrorIsASuccess) {
  PushStream stream;
  stream.take(R"({"status":"The push refers to repository [x]"})");
  stream.take(R"({"id":"l1","status":"Pushing","progressDetail":{"current":10,"total":20}})");
  stream.take("no json");
  EXPECT_FALSE(stream.succeeded());
  stream.take(R"({"aux":{"Tag":"t","Digest":"sha256:d","Size":5}})");
  EXPECT_TRUE(stream.succeeded());
  EXPECT_EQ(stream.digest(), "sha256:d");
  stream.take(R"({"errorDetail":{"message":"denied: x"},"error":"denied: x"})");
  EXPECT_FALSE(stream.succeeded());
}

TEST(PushStream, KnowsTheSumWhenEveryLayerHasSaidItsSize) {
  PushStream stream;
  const auto say = [&](const char* layer, const char* status, const char* detail = "{}") {
    stream.take(
        fmt::format(R"({{"id":"{}","status":"{}","progressDetail":{}}})", layer, status, detail));
    return std::pair(stream.bytes().sent, stream.bytes().total);
  };
  EXPECT_EQ(say("a", "Preparing"), std::pair(0UL, 0UL));
  EXPECT_EQ(say("b", "Waiting"), std::pair(0UL, 0UL));
  EXPECT_EQ(say("a", "Pushing", R"({"current":10,"total":100})"), std::pair(10UL, 0UL));
  EXPECT_EQ(say("b", "Layer already exists"), std::pair(10UL, 100UL));
  EXPECT_EQ(say("c", "Pushing", R"({"current":700,"total":500})"), std::pair(510UL, 600UL));
  EXPECT_EQ(say("a", "Pushed"), std::pair(600UL, 600UL));
}

TEST(PushStream, TakesTheDigestFromTheLastStatusWhereThereIsNoRecordOfIt) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  PushStream stream;
  stream.take(R"({"status":"The push refers to repository [x: digest: y]"})");
  stream.take(R"({"status":"Pushed","id":"t: digest: )" + digest + "\"}");
  for (const std::string& wrong : {"sha256:" + std::string(63, 'a'), std::string(71, 'a'),
                                   "sha256:" + std::string(64, 'X'), std::string()}) {
    stream.take(R"({"status":"t: digest: )" + wrong + "\"}");
  }
  EXPECT_FALSE(stream.succeeded());
  stream.take(R"({"status":"t: digest: )" + digest + R"( size: 528"})");
  EXPECT_TRUE(stream.succeeded());
  EXPECT_EQ(stream.digest(), digest);
  stream.take(R"({"aux":{"Tag":"t","Digest":"sha256:b","Size":5}})");
  EXPECT_EQ(stream.digest(), "sha256:b");
}

std::vector<std::string> lines_of(const std::vector<std::string>& chunks) {
  std::vector<std::string> lines;
  JsonLines split([&](std::string_view line) { lines.emplace_back(line); });
  for (const std::string& chunk : chunks) {
    split.feed(chunk);
  }
  split.finish();
  return lines;
}

TEST(JsonLines, AreTheSameForEveryCutAndBoundedInSize) {
  EXPECT_EQ(lines_of({"{}\r\n\n{\"a\":1}\n{}"}),
            (std::vector<std::string>{"{}", "{\"a\":1}", "{}"}));
  EXPECT_EQ(lines_of({std::string(2u << 20, 'x') + "\nnext\n" + std::string(2u << 20, 'y')}),
            std::vector<std::string>{"next"});
  fakes::RandomText random(51, {"{}", "\n", "\r", "\r\n", "x", "{\"a\":\"b\"}"});
  for (int round = 0; round < 2'000; ++round) {
    const std::string text = random.make(12);
    ASSERT_EQ(lines_of(random.cut(text, 3)), lines_of({text})) << testing::PrintToString(text);
  }
}

TEST(PushStream, TakesWhateverARegistryMakesTheEngineSay) {
  fakes::RandomText random(
      52, {"null", "{", "}", "[", "-1", "1e400", "99999999999999999999", "\"", "\\u0000", "\xff",
           "\"error\":5,", "\"aux\":{\"Digest\":7}", ",", std::string(60, '[')});
  const std::string line =
      R"({"id":"l","status":"Pushing","progressDetail":{"current":10,"total":20},"aux":{"Digest":"sha256:d"},"errorDetail":{"message":"m"}})";
  for (int round = 0; round < 5'000; ++round) {
    PushStream stream;
    stream.take(random.damage(line));
    static_cast<void>(stream.bytes());
  }
  PushStream stream;
  stream.take(std::string(1u << 20, '['));
  stream.take(R"({"aux":)" + std::string(200'000, '[') + std::string(200'000, ']') + "}");
  EXPECT_FALSE(stream.succeeded());
  for (const char* number :
       {"-5", "1e400", "18446744073709551616", "18446744073709551615", "null", "\"7\""}) {
    stream.take(std::string(R"({"id":"l","status":"Pushing","progressDetail":{"current":)") +
                number + "}}");
  }
}

TEST(EngineAddress, IsASocketOrAHostAndAPort) {
  EXPECT_EQ(parse_engine_address("unix:///x y/d.sock"),
            (EngineAddress{.socket = "/x y/d.sock", .host = {}, .port = {}}));
  EXPECT_EQ(parse_engine_address("tcp://h:2375"),
            (EngineAddress{.socket = {}, .host = "h", .port = "2375"}));
  EXPECT_EQ(parse_engine_address("tcp://[::1]:2375"),
            (EngineAddress{.socket = {}, .host = "::1", .port = "2375"}));
  for (const char* bad :
       {"", "unix://", "unix://relative", "tcp://", "tcp://h", "tcp://:1", "tcp://h:", "tcp://h:x",
        "tcp://h:65536", "tcp://::1:1", "tcp://a/b:1", "tcp://u@h:1", "tcp://h:1/", "http://h:1",
        "https://x", "ssh://h", "/run/x.sock"}) {
    EXPECT_FALSE(parse_engine_address(bad)) << bad;
  }
  EXPECT_TRUE(parse_engine_address("unix:///" + std::string(106, 'a')));
  EXPECT_FALSE(parse_engine_address("unix:///" + std::string(107, 'a'))) << "no socket may";
}

TEST(EngineAddress, IsWrittenAsItWasRead) {
  for (const char* text : {"unix:///run/d.sock", "tcp://10.0.0.1:2375", "tcp://[::1]:2375"}) {
    EXPECT_EQ(parse_engine_address(text)->str(), text);
  }
  EXPECT_EQ(parse_engine_address("tcp://[::1]:2375")->authority(), "[::1]:2375");
}

}  // namespace
}  // namespace builder::adapters::docker
