#include "adapters/docker/engine_address.hpp"
#include "adapters/docker/push_stream.hpp"
#include "adapters/docker/registry_auth.hpp"

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

TEST(DockerHost, TakesSocketsAndPlainTcp) {
  EXPECT_EQ(parse_docker_host("unix:///run/d.sock")->unix_socket, "/run/d.sock");
  EXPECT_EQ(parse_docker_host("tcp://10.0.0.1")->base_url, "http://10.0.0.1:2375");
  for (const char* bad : {"ssh://x", "https://x", "unix://relative", "tcp://", "tcp://a/b"}) {
    EXPECT_FALSE(parse_docker_host(bad)) << bad;
  }
}

}  // namespace
}  // namespace builder::adapters::docker
