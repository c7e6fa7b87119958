#include "adapters/buildkit/diagnosis/build_policy.hpp"

#include "adapters/attestation/attestations.hpp"
#include "adapters/attestation/key_file.hpp"
#include "adapters/buildkit/diagnosis/build_error.hpp"
#include "adapters/policy/policy_file.hpp"
#include "domain/provenance.hpp"
#include "fakes/memory_registry.hpp"
#include "fakes/public_key.hpp"
#include "fakes/signing_key.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <regex>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const std::string k_digest =
    "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

const FrontendRules& frontends() {
  static const FrontendRules rules =
      *parse_frontend_rules("docker/dockerfile,docker/dockerfile-upstream");
  return rules;
}

policy::Policy policy_of(std::string_view text) {
  return *policy::parse_policy(text, {});
}

/// Base images with digests, of two registries; a frontend by any name.
const policy::Policy& bases() {
  static const policy::Policy policy = policy_of(R"(
[[images]]
from = ["docker/dockerfile"]
[[images]]
name = "bases"
from = ["docker.io/library/*", "registry.example.com:5000/base/*"]
digest = true
)");
  return policy;
}

/// The names of the images `ok:5000/…` alone, without digests.
const policy::Policy& names() {
  static const policy::Policy policy = policy_of("[[images]]\nfrom = [\"ok:5000/*\"]\n");
  return policy;
}

const policy::Policy& instructions() {
  static const policy::Policy policy =
      policy_of(R"(refuse = ["add-url", "network-host", "onbuild", "security-insecure"])");
  return policy;
}

/// The customer's line; empty: nothing is refused.
std::string refusal(const policy::Policy& policy, std::string_view dockerfile,
                    const GivenArguments& given = {}) {
  const auto checked = check_dockerfile(policy, frontends(), "Dockerfile", dockerfile, given);
  return checked ? std::string() : checked.error().customer;
}

struct Row {
  std::string dockerfile;
  const char* refused;  ///< A part of the line; empty: nothing is.
};

class Names : public testing::TestWithParam<Row> {};

TEST_P(Names, OfImagesThatAPolicyLimits) {
  const std::string line = refusal(names(), GetParam().dockerfile);
  if (std::string_view(GetParam().refused).empty()) {
    EXPECT_EQ(line, "");
  } else {
    EXPECT_THAT(line, HasSubstr(GetParam().refused));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Allowed, Names,
    testing::Values(
        Row{"FROM ok:5000/a\nRUN echo \"it's <<fine>>\"\n", ""},
        Row{"FROM scratch\nCOPY --from=ok:5000/a:1 / /\n", ""},
        Row{"FROM ok:5000/a AS Build\nFROM scratch\nCOPY --from=build / /\nCOPY --from=0 / /\n",
            ""},
        Row{"FROM ok:5000/a AS build\nFROM build\nRUN --mount=from=build,target=/x true\n", ""},
        Row{"ARG TAG=1\nARG BASE=ok:5000/a:${TAG}\nFROM --platform=$BUILDPLATFORM $BASE\n", ""},
        Row{"ARG TAG\nFROM ok:5000/a:${TAG:-1}\n", ""},
        Row{"ARG BASE=\"ok:5000/a\"\nFROM \"${BASE}\"\n", ""},
        Row{"FROM ok:5000/a\nRUN true \\\n  # comment\n\n  && true\n", ""},
        Row{"FROM ok:5000/a\r\nRUN true \\\r\n  && true\r\n", ""},
        Row{"\xEF\xBB\xBF# a comment\nfrom ok:5000/a\n", ""},
        Row{"FROM ok:5000/a\nRUN <<EOF\nfrom x import y\nFROM evil\nEOF\nRUN true\n", ""},
        Row{"FROM ok:5000/a\nRUN python - <<-'END' && true\nfrom x import y\n\tEND\nUSER 1\n", ""},
        Row{"FROM ok:5000/a\nCOPY <<a.txt /a\nfrom evil\na.txt\n", ""},
        Row{"FROM ok:5000/a\nCOPY <<A <<B /a/\nfrom\nA\nfrom\nB\n", ""},
        Row{"FROM ok:5000/a\nRUN cat <<< x && echo $((1<<2))\n", ""},
        Row{"FROM ok:5000/a\nRUN echo \xC3\xA9\xC2\xA0x\nCOPY \xC3\xA9 /\n", ""},
        Row{"FROM ok:5000/a\nRUN --mount=type=cache,target=/c --mount=type=secret,id=x true\n", ""},
        Row{"# escape=\\\nFROM ok:5000/a\n", ""}));

INSTANTIATE_TEST_SUITE_P(
    WaysRound, Names,
    testing::Values(
        Row{"FROM evil\n",
            "Dockerfile:1: the policy allows no image evil:latest; use one of "
            "ok:5000/*"},
        Row{"FROM ok:5000.evil.com/a\n", "allows no image"},
        Row{"FROM ok:50001/a\n", "allows no image"}, Row{"FROM ok/a\n", "allows no image"},
        Row{"FROM localhost/ok:5000/a\n", "is no name"},
        // A stage, or a name that looks like one.
        Row{"FROM ok:5000/a AS evil\nFROM Evil\n", "is no name of one"},
        Row{"FROM evil AS evil\n", "Dockerfile:1"},
        Row{"FROM ok:5000/a AS one\nCOPY --from=evil / /\nFROM ok:5000/a AS evil\n",
            "Dockerfile:2"},
        Row{"FROM ok:5000/a AS evil\nCOPY --from=evil / /\n", "Dockerfile:2"},
        Row{"FROM ok:5000/a\nFROM ok:5000/a\nRUN --mount=from=0,target=/x true\n", "Dockerfile:3"},
        Row{"FROM ok:5000/a\nCOPY --from=0 / /\n", "Dockerfile:2"},
        Row{"FROM ok:5000/a\nFROM 0\n", "Dockerfile:2"}, Row{"FROM SCRATCH\n", "Dockerfile:1"},
        // Options.
        Row{"FROM ok:5000/a\nCOPY --link --from=evil --chown=1 / /\n", "Dockerfile:2"},
        Row{"FROM ok:5000/a\nCOPY --fr\"om=ev\"il / /\n", "allows no image evil"},
        Row{"FROM ok:5000/a\nCOPY --fr\\om=evil / /\n", "option with an escape"},
        Row{"FROM ok:5000/a\nRUN --mount=type=bind,FROM=evil,target=/x true\n", "Dockerfile:2"},
        Row{"FROM ok:5000/a\nRUN --mount=type=cache,from=evil,target=/x true\n", "Dockerfile:2"},
        Row{"FROM ok:5000/a\nRUN --mount=target=/x,from=ok:5000/a,from=evil true\n",
            "Dockerfile:2"},
        Row{"FROM ok:5000/a\nRUN --mount='target=/x,\"from=evil\"' true\n", "written out"},
        Row{"FROM ok:5000/a\nRUN --mount=target=/x,from=$EVIL true\n", "written out"},
        Row{"FROM ok:5000/a\nRUN \\\n--mount=target=/x,from=evil true\n", "Dockerfile:2"},
        Row{"FROM ok:5000/a\nRUN --network=none --mount=from=evil,target=/x true\n",
            "Dockerfile:2"},
        Row{"FROM ok:5000/a\nRUN \xA0--mount=from=evil,target=/x true\n", "not ASCII"},
        Row{"FROM ok:5000/a\nRUN --network=none\x85--mount=from=evil,target=/x true\n",
            "option with an escape"},
        Row{"FROM ok:5000/a\nONBUILD COPY --from=evil / /\n", "Dockerfile:2"},
        Row{"FROM ok:5000/a AS evil\nFROM ok:5000/a\nONBUILD COPY --from=evil / /\n",
            "Dockerfile:3"},
        Row{"FROM ok:5000/a\nONBUILD onbuild COPY --from=evil / /\n", "ONBUILD of an ONBUILD"},
        Row{"ONBUILD FROM ok:5000/a AS evil\nFROM ok:5000/a\nFROM evil\n", "Dockerfile:3"},
        // Variables.
        Row{"ARG A=evil\nFROM $A\n", "allows no image evil"},
        Row{"ARG A=ok:5000/a\nARG A=evil\nFROM $A\n", "allows no image evil"},
        Row{"ARG A=ok:5000/a B=evil\nFROM $B\n", "allows no image evil"},
        Row{"ARG A='ok:5000/a B=evil'\nFROM $A\n", "is no name of one"},
        Row{"ARG A=\"ok:5000/a\nFROM $A\n", "written out"},
        Row{"ARG A=evil\nFROM ${A:+ok:5000/a}${A#ok}\n", "written out"},
        Row{"ARG A=ev\\il\nFROM $A\n", "written out"},
        Row{"ARG TARGETARCH=a\nFROM ok:5000/$TARGETARCH\n", "written out"},
        Row{"FROM ok:5000/a\nARG A=ok:5000/a\nFROM $A\n", "Dockerfile:3"},
        Row{"ARG A=ok:5000/a\nFROM '$A'\n", "written out"},
        // Lines.
        Row{"FROM ok:5000/a\nRUN true \\\\\nFROM evil\n", "two backslashes"},
        Row{"# escape=`\nFROM ok:5000/a\nRUN true \\\nFROM evil\n", "escape character"},
        Row{"# x\n#ESCAPE = ` \nFROM ok:5000/a\n", "escape character"},
        Row{"FROM ok:5000/a\nRUN true \\\r\r\nFROM evil\n", "control character"},
        Row{"FROM ok:5000/a\nRUN true\rFROM evil\n", "control character"},
        Row{"FROM ok:5000/a\f\n", "not ASCII"},
        Row{"\xC2\xA0"
            "FROM evil\n",
            "no name of an instruction"},
        Row{"FROM ok:5000/a\nINCLUDE evil\n", "no name of an instruction"},
        Row{"FR\\\nOM evil\n", "allows no image"},
        Row{"FROM\xC2\xA0"
            "evil\n",
            "no name of an instruction"},
        Row{"FROM ok:5000/a\nRUN <<RUN\nFROM evil\nRUN\n", "heredoc"},
        Row{"FROM ok:5000/a\nRUN <<EOF\nFROM evil\nRUN true \\\nEOF\n", "last line"},
        Row{"FROM ok:5000/a\nRUN <<EOF\nFROM evil\nRUN true \\\n# x\nEOF\n", "last line"},
        Row{"FROM ok:5000/a\nRUN <<EOF\nFROM evil\nRUN true \\\n\x0B# x\nEOF\n", "last line"},
        Row{"FROM ok:5000/a\nENV a=b \\\n\x0B\nRUN x <<E\nFROM evil\nE\n", "unusual blank"},
        Row{"FROM ok:5000/a\nRUN echo \"<<EOF\nFROM evil\nEOF\n", "heredoc"},
        Row{"FROM ok:5000/a\nRUN echo \"<<EOF\"\nFROM evil\n", "Dockerfile:3"},
        Row{"FROM ok:5000/a\nRUN echo ' <<EOF '\nFROM evil\n", "Dockerfile:3"},
        Row{"FROM ok:5000/a\nRUN echo \\\"<<EOF\nFROM evil\n", "Dockerfile:3"},
        Row{"FROM ok:5000/a\nRUN echo ${A:-\" } <<EOF \"}\nFROM evil\n", "heredoc"},
        Row{"FROM ok:5000/a\nRUN cat <<$EOF\nFROM evil\n", "heredoc"},
        Row{"FROM ok:5000/a\nRUN cat <<EOF\nFROM evil\n", "without an end"},
        Row{"FROM ok:5000/a\nENV A=<<EOF\nFROM evil\n", "Dockerfile:3"},
        Row{"FROM ok:5000/a\nONBUILD RUN <<EOF\nFROM evil\nEOF\n", "heredoc"}));

TEST(BuildPolicy, CountsWhatABuildIsGiven) {
  constexpr std::string_view k_text = "ARG A=ok:5000/a\nFROM $A\n";
  EXPECT_EQ(refusal(names(), k_text, {{"A", "ok:5000/b"}}), "");
  EXPECT_THAT(refusal(names(), k_text, {{"A", "evil"}}), HasSubstr("allows no image evil"));
  EXPECT_EQ(refusal(names(), "FROM ok:5000/a$B\n", {{"B", "/../evil"}}), "") << "B is not declared";
  EXPECT_THAT(refusal(names(), "FROM ok:5000/a\n", {{"BUILDKIT_SYNTAX", "evil/frontend"}}),
              HasSubstr("another frontend"));
}

TEST(BuildPolicy, WantsDigestsAndFrontendsOfDockers) {
  EXPECT_EQ(refusal(bases(), "# syntax=docker/dockerfile:1\nFROM node" + k_digest + "\n"), "");
  EXPECT_THAT(refusal(bases(), "FROM node:22\n"),
              StartsWith("Dockerfile:1: the policy \"bases\" wants node:22 with its digest"));
  EXPECT_THAT(refusal(bases(), "FROM node@sha512:" + std::string(128, 'a') + "\n"),
              HasSubstr("is no name of one"));
  EXPECT_THAT(refusal(bases(), "# syntax=evil/frontend\nFROM node" + k_digest + "\n"),
              StartsWith("Dockerfile:1: the policy cannot be kept with another frontend"));
  EXPECT_THAT(refusal(bases(), "# syntax=docker/dockerfile-upstream\nFROM node" + k_digest + "\n"),
              HasSubstr("allows no image docker/dockerfile-upstream"));
  EXPECT_THAT(refusal(bases(), "#!/x\n// syntax=evil/frontend\nFROM node" + k_digest + "\n"),
              HasSubstr("another frontend"));
  FrontendRules any;
  any.any = true;
  EXPECT_FALSE(check_dockerfile(bases(), any, "f", "# syntax=evil\nFROM node" + k_digest, {}));
  EXPECT_TRUE(
      check_dockerfile(bases(), any, "f", "# syntax=docker/dockerfile\nFROM node" + k_digest, {}));
}

class Instructions : public testing::TestWithParam<Row> {};

TEST_P(Instructions, ThatAPolicyRefuses) {
  const std::string line = refusal(instructions(), GetParam().dockerfile);
  if (std::string_view(GetParam().refused).empty()) {
    EXPECT_EQ(line, "");
  } else {
    EXPECT_THAT(line, HasSubstr(GetParam().refused));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Rows, Instructions,
    testing::Values(
        Row{"FROM ${ANYTHING}\nADD a.tar /\nRUN curl https://example.com\n", ""},
        Row{"FROM a\nADD https://example.com/a /\n", "Dockerfile:2: the policy allows no ADD"},
        Row{"FROM a\nADD --chmod=1 [\"HTTPS://example.com/a\", \"/\"]\n", "no ADD"},
        Row{"FROM a\nADD git@github.com:a/b.git /\n", "no ADD"},
        Row{"FROM a\nARG U=https://example.com\nADD $U/a /\n", "no ADD"},
        // A base image may set it.
        Row{"FROM a\nARG U=a.tar\nADD $U /\n", "no ADD"},
        Row{"FROM a\nARG U=a.tar\nADD [\"\\u0024U\", \"/\"]\n", "no ADD"},
        Row{"FROM a\nARG U=a.tar\nADD --chmod=\"1 \" h${U} /\n", "no ADD"},
        Row{"FROM a\nADD dist/$U $HOME/\n", ""},
        Row{"FROM a\nADD \\\n  a.txt \\\n  https://example.com/a /\n", "Dockerfile:2"},
        Row{"FROM a\nONBUILD ADD https://example.com/a /\n", "Dockerfile:2"},
        Row{"FROM a\nRUN <<EOF\nADD https://example.com /\nEOF\n", ""},
        Row{"FROM a\nonbuild RUN true\n", "Dockerfile:2: the policy allows no ONBUILD"},
        Row{"FROM a\nRUN --network=host true\n", "--network=host"},
        Row{"FROM a\nRUN --mount=type=cache,target=/x --NETWORK=\"host\" true\n", "--network=host"},
        Row{"FROM a\nRUN --network=$N true\n", "--network=host"},
        Row{"FROM a\nRUN --network=none echo --network=host\n", ""},
        Row{"FROM a\nRUN --security=insecure true\n", "--security=insecure"},
        Row{"FROM a\nRUN -- --security=insecure\n", ""}));

// --- The engine. ---

/// As the engine decides: the last rule that fits.
class Decisions {
 public:
  explicit Decisions(const policy::Policy& policy, const AdmittedImages& admitted = {},
                     bool with_network = false) {
    auto message = with_network ? source_policy({.policy = network::NetworkPolicy::public_only,
                                                 .registries = {"reg.example.com"}},
                                                ports::Repository{"reg.example.com/own/s1"})
                                : moby::buildkit::v1::Policy();
    add_image_policy(message, policy, admitted);
    for (const auto& rule : message.rules()) {
      rules_.emplace_back(std::regex(rule.selector().identifier().substr(4), std::regex::icase),
                          rule.action() == moby::buildkit::v1::PolicyRule::ALLOW);
    }
  }

  [[nodiscard]] bool allow(const std::string& image) const {
    bool allowed = true;
    for (const auto& [expression, allows] : rules_) {
      allowed = std::regex_search("docker-image://" + image, expression) ? allows : allowed;
    }
    return allowed;
  }

 private:
  std::vector<std::pair<std::regex, bool>> rules_;
};

TEST(ImagePolicy, TellsTheEngineTheSame) {
  const Decisions engine(bases());
  for (const char* const allowed :
       {"docker.io/library/node:22", "docker.io/library/a/b:1", "docker.io/library/node",
        "REGISTRY.example.com:5000/base/a", "registry-1.docker.io/library/node"}) {
    EXPECT_TRUE(engine.allow(allowed + k_digest)) << allowed;
    EXPECT_FALSE(engine.allow(allowed)) << allowed;
  }
  EXPECT_TRUE(engine.allow("docker.io/docker/dockerfile:1"));
  EXPECT_TRUE(engine.allow("docker.io/docker/dockerfile" + k_digest));
  for (const char* const refused :
       {"docker.io/docker/dockerfile2:1", "docker.io/docker/dockerfile/a:1",
        "docker.io/docker/dockerfil:1", "docker.io/evil/library/node:1", "evil.com/library/node:1",
        "docker.io.evil.com/library/node:1", "registry.example.com/base/a:1",
        "registry.example.com:5000/based/a:1", "registry.example.com:5000/base:1", "docker.io/", "",
        "x", "docker.io/libraryx/node:1"}) {
    EXPECT_FALSE(engine.allow(refused + k_digest)) << refused;
    EXPECT_FALSE(engine.allow(refused)) << refused;
  }
}

TEST(ImagePolicy, AllowsOfSignedImagesThoseThatWereLookedAt) {
  policy::Policy policy = policy_of(
      "[[images]]\nfrom = [\"r.io/base/*\"]\n[[images]]\nfrom = "
      "[\"r.io/*\"]\ndigest = true\n");
  policy.images[0].signed_by.assign(1, *attestation::PublicKey::parse(fakes::k_public_key));
  const std::string image = "r.io/base/a:1" + k_digest;
  const Decisions engine(policy, {.pins = {}, .signed_images = {image, "r.io/base/a" + k_digest}});
  EXPECT_TRUE(engine.allow(image));
  EXPECT_TRUE(engine.allow("r.io/base/a" + k_digest));
  for (const std::string& refused :
       {image + "0", std::string("r.io/base/a:1"), "r.io/base/a:2" + k_digest,
        "r.io/base/b" + k_digest, std::string("r.io/base/a"), image.substr(0, image.size() - 1),
        image.substr(0, image.size() - 1) + "0"}) {
    EXPECT_FALSE(engine.allow(refused)) << refused;
  }
  EXPECT_TRUE(engine.allow("r.io/other" + k_digest));
  EXPECT_FALSE(engine.allow("r.io/other:1"));
}

TEST(ImagePolicy, AllowsNothingThatIsRefusedOtherwise) {
  const Decisions engine(policy_of("[[images]]\nfrom = [\"*\"]\ndigest = true\n"), {}, true);
  EXPECT_TRUE(engine.allow("docker.io/library/node" + k_digest));
  EXPECT_TRUE(engine.allow("reg.example.com/own/s1" + k_digest));
  EXPECT_FALSE(engine.allow("reg.example.com/own/s2" + k_digest));
  EXPECT_FALSE(engine.allow("10.0.0.1/a" + k_digest));
  EXPECT_FALSE(engine.allow("docker.io/library/node"));
  EXPECT_FALSE(engine.allow("8.8.8.8/a:1"));
}

TEST(ImagePolicy, IsNoneWithoutRulesForImages) {
  moby::buildkit::v1::Policy message;
  add_image_policy(message, instructions(), {});
  EXPECT_TRUE(message.rules().empty());
}

TEST(ImagePolicy, IsSmallWhateverTheFileHolds) {
  std::string text = "[[images]]\nfrom = [\n";
  for (int i = 0; i < 64; ++i) {
    text += "\"" + std::to_string(i) + ".example.com/" + std::string(100, 'a') + "\",\n";
  }
  moby::buildkit::v1::Policy message;
  add_image_policy(message, policy_of(text + "]\n"), {});
  EXPECT_LT(message.ByteSizeLong(), 2U << 20U);
}

TEST(TakenImages, AreJudgedByWhatTheEngineTells) {
  const auto check = [](std::set<domain::BaseImage> taken) {
    return check_taken(bases(), "Dockerfile", taken, {}).has_value();
  };
  const std::string digest = k_digest.substr(1);
  EXPECT_TRUE(check({{"docker.io/library/node:22", digest}, {"docker.io/library/node", digest}}));
  EXPECT_TRUE(check({{"docker.io/docker/dockerfile:1", ""}}));
  EXPECT_FALSE(check({{"docker.io/library/node:22", ""}, {"docker.io/library/node:22", digest}}));
  EXPECT_FALSE(check({{"docker.io/evil/node:22", digest}}));
  EXPECT_FALSE(check({{"?", ""}}));
}

// --- Images that have to be signed. ---

class SignedBases : public testing::Test {
 protected:
  SignedBases() {
    policy_.images[0].signed_by.assign(1, *attestation::PublicKey::parse(fakes::k_public_key));
    auto attestations = attestation::make_attestations(
        registry_, attestation::make_key_signer(
                       *attestation::PrivateKey::parse(Secret(fakes::k_signing_key), {})));
    EXPECT_TRUE(attestations->attach(
        k_job, {{"r.io/base/a"}, "1", signed_},
        {{std::string(domain::k_image_signature_type), domain::signature_statement(signed_)}}));
  }

  Result<AdmittedImages> admit(std::string_view text, const ports::ImagePins& pins = {},
                               bool holds_pins = true) {
    policy::Gate gate(std::make_shared<const policy::Policy>(policy_), registry_);
    BUILDER_TRY_ASSIGN(const auto found,
                       check_dockerfile(policy_, frontends(), "Dockerfile", text, {}));
    return admit_images(gate, k_job, "Dockerfile", found, pins, holds_pins);
  }

  const ports::JobContext k_job{.deployment_id = domain::DeploymentId("d1"), .stop = {}};
  fakes::MemoryRegistry registry_{true};
  const std::string signed_ = registry_.store(R"({"layers":[]})", "1");
  const std::string unsigned_ = registry_.store(R"({"layers":[1]})", "2");
  policy::Policy policy_ = policy_of(
      "[[images]]\nfrom = [\"r.io/base/*\"]\n[[images]]\nfrom = "
      "[\"r.io/digest\"]\ndigest = true\n[[images]]\nfrom = "
      "[\"r.io/*\"]\n");
};

TEST_F(SignedBases, BecomeTheVersionThatWasLookedAt) {
  const auto admitted = admit("FROM r.io/base/a:1\nFROM r.io/other\n");
  ASSERT_TRUE(admitted) << admitted.error().message;
  EXPECT_EQ(admitted->pins, (ports::ImagePins{{"r.io/base/a:1", signed_}}));
  EXPECT_THAT(admitted->signed_images,
              testing::ElementsAre("r.io/base/a:1@" + signed_, "r.io/base/a@" + signed_));
}

TEST_F(SignedBases, AreThosePinnedWhereTheyAre) {
  EXPECT_TRUE(admit("FROM r.io/base/a:2\n", {{"r.io/base/a:2", signed_}}));
  EXPECT_THAT(admit("FROM r.io/base/a:1\n", {{"r.io/base/a:1", unsigned_}}).error().customer,
              StartsWith("Dockerfile:1: the policy \"r.io/base/*\" wants r.io/base/a:1"));
}

TEST_F(SignedBases, NeedADigestWhereAnEngineHoldsNone) {
  EXPECT_TRUE(admit("FROM r.io/base/a@" + signed_ + "\n", {}, false));
  EXPECT_THAT(
      admit("FROM scratch\nFROM r.io/base/a:1\n", {}, false).error().customer,
      HasSubstr("Dockerfile:2: the policy \"r.io/base/*\" needs the digest of r.io/base/a:1"));
}

TEST_F(SignedBases, LeaveOtherPinsAndTakeNoneForADigest) {
  const ports::ImagePins pins{{"r.io/other:1", signed_}, {"r.io/digest:1", signed_}};
  EXPECT_EQ(admit("FROM scratch\n", pins)->pins, (ports::ImagePins{{"r.io/other:1", signed_}}));
}

TEST_F(SignedBases, AreAFewOfOneDockerfile) {
  std::string text;
  for (int i = 0; i < 60; ++i) {
    text += "FROM r.io/base/a" + std::to_string(i) + "@" + signed_ + "\n";
  }
  EXPECT_THAT(admit(text).error().customer, HasSubstr("Dockerfile:51: the policy looks at"));
  EXPECT_TRUE(admit("FROM r.io/base/a:1\n" + std::string("FROM r.io/base/a:1\n")));
}

TEST(BuildError, NamesThePolicyThatAnEngineKept) {
  const policy::Policy policy = bases();
  const Explanation told = explain(
      {.status = grpc::Status(grpc::StatusCode::UNKNOWN,
                              "source \"docker-image://docker.io/evil/a:1\" denied by policy: x"),
       .steps = {},
       .dockerfile = "Dockerfile",
       .dockerfile_text = "FROM node" + k_digest + "\n",
       .policy = &policy});
  EXPECT_EQ(told.error.kind, ErrorKind::build_failed);
  EXPECT_THAT(told.error.customer, HasSubstr("the policy allows no image evil/a:1"));
}

}  // namespace
}  // namespace builder::adapters::buildkit
