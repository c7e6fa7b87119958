#include "adapters/redis/client/redis_config.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::redis {
namespace {

RedisConfig parsed(std::string_view url) {
  RedisConfig config;
  const auto applied = apply_url(config, url);
  EXPECT_TRUE(applied) << url << ": " << (applied ? "" : applied.error().message);
  return config;
}

TEST(RedisUrl, NamesHostPortUserPasswordAndDatabase) {
  const RedisConfig config = parsed("redis://us%40er:p%3Ass%2Fw@redis.example.test:6380/3");
  EXPECT_EQ(config.address.host, "redis.example.test");
  EXPECT_EQ(config.address.port, 6380);
  EXPECT_EQ(config.username, "us@er");
  EXPECT_EQ(config.password.reveal(), "p:ss/w");
  EXPECT_EQ(config.database, 3);
  EXPECT_FALSE(config.tls.enabled);
}

TEST(RedisUrl, LeavesWhatItDoesNotName) {
  const RedisConfig config = parsed("rediss://[::1]");
  EXPECT_TRUE(config.tls.enabled);
  EXPECT_EQ(config.address.host, "::1");
  EXPECT_EQ(config.address.port, 6379);
  EXPECT_TRUE(config.username.empty());
  EXPECT_EQ(config.database, 0);
}

TEST(RedisUrl, NamesAUnixSocket) {
  const RedisConfig config = parsed("unix://u:p@/run/redis/redis.sock?db=2");
  EXPECT_EQ(config.socket, "/run/redis/redis.sock");
  EXPECT_EQ(config.username, "u");
  EXPECT_EQ(config.database, 2);
  EXPECT_EQ(parsed("unix:///run/r.sock").socket, "/run/r.sock");
}

TEST(RedisUrl, RefusesWhatItCannotReadWithoutShowingIt) {
  for (const char* url :
       {"", "localhost", "http://h", "redis://", "redis://h:0", "redis://h:x", "redis://h/x",
        "redis://u:%zz@h", "unix://relative/path", "redis://[::1"}) {
    RedisConfig config;
    const auto applied = apply_url(config, url);
    ASSERT_FALSE(applied) << url;
    EXPECT_EQ(applied.error().kind, ErrorKind::invalid_input);
    EXPECT_FALSE(applied.error().message.contains("%zz"));
  }
}

TEST(RedisAddresses, AreAListWithDefaultPorts) {
  const auto list = parse_addresses("a:1, b ,[::1]:3", 26'379);
  ASSERT_TRUE(list);
  ASSERT_EQ(list->size(), 3u);
  EXPECT_EQ(list->at(0).str(), "a:1");
  EXPECT_EQ(list->at(1).str(), "b:26379");
  EXPECT_EQ(list->at(2).port, 3);
  EXPECT_TRUE(parse_addresses("", 1)->empty());
  EXPECT_FALSE(parse_addresses("a,,b", 1));
}

}  // namespace
}  // namespace builder::adapters::redis
