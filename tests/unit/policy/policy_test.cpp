#include "adapters/policy/policy.hpp"

#include "adapters/policy/policy_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace builder::adapters::policy {
namespace {

using testing::HasSubstr;

constexpr const char* k_digest =
    "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const Policy& policy() {
  static const Policy read = *parse_policy(R"(
[[images]]
name = "frontends"
from = ["docker/dockerfile"]
[[images]]
from = ["docker.io/library/*", "registry.example.com:5000/base/*"]
digest = true
[[images]]
from = ["quay.io/*", "docker.io/library/alpine"]
)",
                                           {});
  return read;
}

struct Row {
  std::string image;
  const char* refusal;  ///< Empty: it may be used.
};

class Images : public testing::TestWithParam<Row> {};

TEST_P(Images, AreJudgedByTheirNames) {
  const auto rule = policy().rule_for(*oci::parse_reference(GetParam().image));
  const std::string refusal(GetParam().refusal);
  if (refusal.empty()) {
    EXPECT_TRUE(rule) << rule.error();
  } else {
    ASSERT_FALSE(rule);
    EXPECT_THAT(rule.error(), HasSubstr(refusal));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, Images,
    testing::Values(
        Row{"docker/dockerfile:1", ""}, Row{"docker.io/docker/dockerfile", ""},
        Row{"docker/dockerfile2", "allows no image docker/dockerfile2"},
        Row{std::string("node") + k_digest, ""}, Row{std::string("node:22") + k_digest, ""},
        Row{std::string("library/node") + k_digest, ""},
        Row{std::string("index.docker.io/node") + k_digest, ""},
        Row{std::string("registry-1.docker.io/library/node") + k_digest, ""},
        Row{"node:22", "wants node:22 with its digest: write node:22@sha256:"},
        // The first rule that fits decides, not the kindest.
        Row{"alpine", "with its digest"}, Row{"docker.io:443/library/node", "allows no image"},
        Row{std::string("docker.io:443/library/node") + k_digest, "allows no image"},
        Row{std::string("library.example.com/node") + k_digest, "allows no image"},
        Row{std::string("evil/library/node") + k_digest, "allows no image"},
        Row{std::string("registry.example.com:5000/base/a") + k_digest, ""},
        Row{std::string("REGISTRY.Example.com:5000/base/a/b") + k_digest, ""},
        Row{std::string("registry.example.com/base/a") + k_digest, "allows no image"},
        Row{std::string("registry.example.com:5000/base") + k_digest, "allows no image"},
        Row{std::string("registry.example.com:5000/based/a") + k_digest, "allows no image"},
        Row{"quay.io/a/b", ""}, Row{"quay.io.evil.com/a/b", "allows no image"},
        Row{"quay.io:5000/a/b", "allows no image"}, Row{"localhost/quay.io/a", "allows no image"}));

TEST(Policy, WithoutRulesForImagesAllowsAll) {
  const auto loose = parse_policy("refuse = [\"onbuild\"]\n", {});
  EXPECT_EQ(*loose->rule_for(*oci::parse_reference("evil.example.com/a")), nullptr);
}

}  // namespace
}  // namespace builder::adapters::policy
