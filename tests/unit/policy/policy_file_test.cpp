#include "adapters/policy/policy_file.hpp"

#include "fakes/public_key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace builder::adapters::policy {
namespace {

using testing::HasSubstr;

Result<std::string> key_file(const std::string& name) {
  return name == "base.pem"   ? Result<std::string>(fakes::k_public_key)
         : name == "none.pem" ? failure(ErrorKind::invalid_input, "cannot be read")
                              : Result<std::string>("no key");
}

Result<Policy> parsed(std::string_view text) {
  return parse_policy(text, key_file);
}

TEST(PolicyFile, IsReadInTheOrderOfItsRules) {
  const auto policy = parsed(R"(refuse = ["add-url", "onbuild"]

[[images]]
name = "golden"
from = ["Registry.example.com:5000/base/*", "node"]
signed_by = ["base.pem"]
provenance = true

[[images]]
from = ["*"]
digest = true
)");
  ASSERT_TRUE(policy) << policy.error().message;
  EXPECT_EQ(policy->refused, (std::set{Refused::add_url, Refused::onbuild}));
  ASSERT_EQ(policy->images.size(), 2U);
  const ImageRule& golden = policy->images[0];
  EXPECT_EQ(golden.name, "golden");
  EXPECT_TRUE(golden.provenance && golden.needs_signature() && !golden.digest);
  ASSERT_EQ(golden.images.size(), 2U);
  EXPECT_EQ(golden.images[0].host, "registry.example.com:5000");
  EXPECT_EQ(golden.images[0].path, "base/");
  EXPECT_EQ(golden.images[1].host, "registry-1.docker.io");
  EXPECT_EQ(golden.images[1].path, "library/node");
  EXPECT_EQ(policy->images[1].name, "*");
  EXPECT_TRUE(policy->images[1].digest);
}

TEST(PolicyFile, HasAFingerprintOfAllThatItSays) {
  const auto one = parsed("refuse = [\"onbuild\"]\n");
  EXPECT_EQ(one->fingerprint, parsed("refuse = [\"onbuild\"]\n")->fingerprint);
  EXPECT_NE(one->fingerprint, parsed("refuse = [\"add-url\"]\n")->fingerprint);
}

struct WrongFile {
  const char* text;
  const char* line;
  const char* what;
};

class WrongFiles : public testing::TestWithParam<WrongFile> {};

TEST_P(WrongFiles, NameTheLine) {
  const auto policy = parsed(GetParam().text);
  ASSERT_FALSE(policy);
  EXPECT_THAT(policy.error().message, HasSubstr(GetParam().line));
  EXPECT_THAT(policy.error().message, HasSubstr(GetParam().what));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, WrongFiles,
    testing::Values(
        WrongFile{"", "", "no rule"}, WrongFile{"\n[[images\n", "line 2", ""},
        WrongFile{"a = 1\n", "line 1", "\"a\" is not known"},
        WrongFile{"refuse = \"onbuild\"\n", "line 1", "list of texts"},
        WrongFile{"refuse = [\n\"root\"]\n", "line 2", "none of add-url"},
        WrongFile{"images = []\n", "line 1", "[[images]]"},
        WrongFile{"images = [1]\n", "line 1", "[[images]]"},
        WrongFile{"\n[[images]]\ndigest = true\n", "line 2", "needs from"},
        WrongFile{"[[images]]\nfrom = []\n", "line 1", "needs from"},
        WrongFile{"[[images]]\nfrom = [\"node:22\"]\n", "line 2", "node:22"},
        WrongFile{"[[images]]\nfrom = [\"node:latest\"]\n", "line 2", "node:latest"},
        WrongFile{"[[images]]\nfrom = [\"no*de\"]\n", "line 2", "no*de"},
        WrongFile{"[[images]]\nfrom = [\"a/*/b\"]\n", "line 2", "a/*/b"},
        WrongFile{"[[images]]\nfrom = [\"*/*\"]\n", "line 2", "*/*"},
        WrongFile{"[[images]]\nfrom = [\"/*\"]\n", "line 2", "/*"},
        WrongFile{"[[images]]\nfrom = [\"Node\"]\n", "line 2", "Node"},
        WrongFile{"[[images]]\nfrom = [7]\n", "line 2", "quotes"},
        WrongFile{"[[images]]\nfrom = [\"*\"]\ndigest = \"yes\"\n", "line 3", "true or false"},
        WrongFile{"[[images]]\nfrom = [\"*\"]\nname = \"\"\n", "line 3", "name"},
        WrongFile{"[[images]]\nfrom = [\"a/*\"]\nsigned = true\n", "line 3", "\"signed\""},
        WrongFile{"[[images]]\nfrom = [\"a/*\"]\nsigned_by = []\n", "line 3", "1 to 10"},
        WrongFile{"[[images]]\nfrom = [\"a/*\"]\nsigned_by = [\"none.pem\"]\n", "line 3",
                  "none.pem cannot be read"},
        WrongFile{"[[images]]\nfrom = [\"a/*\"]\nsigned_by = [\"text.pem\"]\n", "line 3",
                  "no public key"},
        WrongFile{"[[images]]\nfrom = [\"a/*\"]\nprovenance = true\n", "line 1", "needs signed_by"},
        WrongFile{"[[images]]\nfrom = [\"*\"]\nsigned_by = [\"base.pem\"]\n", "line 1",
                  "names of registries"}));

TEST(PolicyFile, HasLimits) {
  EXPECT_FALSE(parsed(std::string(65 << 10U, '#')));
  std::string deep = "refuse = ";
  EXPECT_FALSE(parsed(deep.append(10'000, '[')));
  std::string many;
  for (int i = 0; i < 101; ++i) {
    many += "[[images]]\nfrom = [\"a\"]\n";
  }
  EXPECT_THAT(parsed(many).error().message, HasSubstr("more than 100 rules"));
  std::string long_names = "[[images]]\nfrom = [\n";
  for (int i = 0; i < 100; ++i) {
    long_names += "\"" + std::string(100, 'a') + "\",\n";
  }
  EXPECT_THAT(parsed(long_names + "]\n").error().message, HasSubstr("characters in all"));
}

TEST(PolicyFile, ThatIsNotThere) {
  EXPECT_FALSE(read_policy("/nowhere/policy.toml"));
  EXPECT_FALSE(read_policy("/"));
}

}  // namespace
}  // namespace builder::adapters::policy
