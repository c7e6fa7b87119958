#include "adapters/buildkit/diagnosis/source_rules.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {
namespace {

using network::NetworkPolicy;
using testing::HasSubstr;

const ports::Repository k_own{"1.dkr.ecr.eu.amazonaws.com/deployra/s1"};

/// As the engine decides: the last rule that fits.
class HostDecisions {
 public:
  explicit HostDecisions(const SourceRules& rules) {
    const auto policy = source_policy(rules, k_own);
    for (const auto& rule : policy.rules()) {
      const std::string& text = rule.selector().identifier();
      EXPECT_TRUE(text.starts_with("(?i)^")) << text;
      rules_.emplace_back(std::regex(text.substr(4), std::regex::icase | std::regex::optimize),
                          rule.action() == moby::buildkit::v1::PolicyRule::ALLOW);
    }
  }

  [[nodiscard]] bool allow(const std::string& source) const {
    bool allowed = true;
    for (const auto& [expression, allows] : rules_) {
      allowed = std::regex_search(source, expression) ? allows : allowed;
    }
    return allowed;
  }

 private:
  std::vector<std::pair<std::regex, bool>> rules_;
};

bool allows(const SourceRules& rules, const std::string& source) {
  static std::map<std::string, HostDecisions> known;
  std::string key = std::to_string(static_cast<int>(rules.policy));
  for (const std::string& registry : rules.registries) {
    key += "," + registry;
  }
  return known.try_emplace(key, rules).first->second.allow(source);
}

TEST(ImagePins, TakeThePlaceOfATag) {
  moby::buildkit::v1::Policy policy;
  add_pins(policy, {{"docker.io/library/node:22", "sha256:1"}, {"h:5000/team/base", "sha256:2"}});
  std::map<std::string, std::string> becomes;
  for (const auto& rule : policy.rules()) {
    EXPECT_EQ(rule.action(), moby::buildkit::v1::PolicyRule::CONVERT);
    EXPECT_EQ(rule.selector().match_type(), moby::buildkit::v1::PolicySelector::EXACT);
    becomes[rule.selector().identifier()] = rule.updates().identifier();
  }
  EXPECT_EQ(becomes, (std::map<std::string, std::string>{
                         {"docker-image://docker.io/library/node:22",
                          "docker-image://docker.io/library/node:22@sha256:1"},
                         {"docker-image://h:5000/team/base:latest",
                          "docker-image://h:5000/team/base:latest@sha256:2"}}));
}

struct HostRow {
  const char* host;
  bool in_public;
  bool in_private;
  bool in_any;
};

constexpr HostRow k_hosts[] = {
    {"example.com", true, true, true},
    {"8.8.8.8", true, true, true},
    {"172.15.0.1", true, true, true},
    {"100.128.0.1", true, true, true},
    {"[2606:4700::1]", true, true, true},
    {"127.0.0.1.example.com", true, true, true},
    {"10.example.com", true, true, true},
    {"10.0.0.1", false, true, true},
    {"172.16.0.1", false, true, true},
    {"172.31.9.9", false, true, true},
    {"192.168.1.1", false, true, true},
    {"100.64.0.1", false, true, true},
    {"[fd12::1]", false, true, true},
    {"git.corp", false, true, true},
    {"db.internal", false, true, true},
    {"api.default.svc", false, true, true},
    {"printer.local.", false, true, true},
    {"127.0.0.1", false, false, true},
    {"127.8.9.1", false, false, true},
    {"localhost", false, false, true},
    {"LOCALHOST", false, false, true},
    {"localhost.", false, false, true},
    {"a.localhost", false, false, true},
    {"localhost.localdomain", false, false, true},
    {"ip6-loopback", false, false, true},
    {"[::1]", false, false, true},
    {"[0:0:0:0:0:0:0:1]", false, false, false},
    {"[::ffff:127.0.0.1]", false, false, false},
    {"169.254.169.254", false, false, false},
    {"100.100.100.200", false, false, false},
    {"168.63.129.16", false, false, false},
    {"0.0.0.0", false, false, false},
    {"224.0.0.1", false, false, false},
    {"255.255.255.255", false, false, false},
    {"[fe80::1]", false, false, false},
    {"[fd00:ec2::254]", false, false, false},
    {"[fd00:0ec2::254]", false, false, false},
    {"[::]", false, false, false},
    {"metadata.google.internal", false, false, false},
    {"Metadata.Google.Internal.", false, false, false},
    {"instance-data", false, false, false},
};

/// Forms of 127.0.0.1 and others that some resolver reads as an address, or a client maps to one.
constexpr const char* k_disguised[] = {"2130706433",
                                       "0x7f000001",
                                       "0x7F.1",
                                       "017700000001",
                                       "127.1",
                                       "0177.0.0.1",
                                       "127.0.0.1.",
                                       "00127.0.0.1",
                                       "1",
                                       "0x0a000001",
                                       "\xEF\xBC\x91"
                                       "27.0.0.1",
                                       "127%2e0.0.1",
                                       "127.0.0.1\\x",
                                       "[64:ff9b::7f00:1]",
                                       "[2002:7f00:1::]",
                                       "[2001:0:1::1]",
                                       "[::7f00:1]",
                                       "[fe80::1%25lo]"};

TEST(SourcePolicy, DecidesByTheAddressInTheText) {
  for (const HostRow& row : k_hosts) {
    const std::string host = row.host;
    for (const std::string& source :
         {"http://" + host + "/x", "https://" + host + ":8443/x?y#z", "HTTP://" + host,
          "https://user:pass@" + host + "/x", "https://a@b@" + host + "/",
          "git://" + host + "/o/r.git#main", "git://git@" + host + "/o/r",
          "http://" + host + "?q=/"}) {
      SCOPED_TRACE(source);
      EXPECT_EQ(allows({.policy = NetworkPolicy::public_only}, source), row.in_public);
      EXPECT_EQ(allows({.policy = NetworkPolicy::private_networks}, source), row.in_private);
      EXPECT_EQ(allows({.policy = NetworkPolicy::any}, source), row.in_any);
    }
    for (const std::string& harmless :
         {"https://example.com/" + host, "https://" + host + "@example.com/x",
          "https://example.com/?u=http://" + host, "git://example.com/" + host + ".git"}) {
      EXPECT_TRUE(allows({}, harmless) || harmless.contains('%') || harmless.contains('['))
          << harmless;
    }
  }
  for (const std::string host : k_disguised) {
    for (const NetworkPolicy policy :
         {NetworkPolicy::public_only, NetworkPolicy::private_networks}) {
      EXPECT_FALSE(allows({.policy = policy}, "http://" + host + "/x")) << host;
      EXPECT_FALSE(allows({.policy = policy}, "git://" + host + ":8000/x.git")) << host;
    }
  }
}

TEST(SourcePolicy, ImagesOfOtherServicesAreRefusedInEveryForm) {
  const std::string host = "1.dkr.ecr.eu.amazonaws.com";
  for (const std::string& source :
       {"docker-image://" + host + "/deployra/s2:latest",
        "docker-image://" + host + "/deployra/s12@sha256:0",
        "docker-image+blob://" + host + "/deployra/s2@sha256:0",
        "oci-layout://" + host + "/deployra/s2@sha256:0", std::string("oci-layout+blob://x"),
        std::string("docker-image://1.DKR.ecr.EU.amazonaws.com/deployra/s2:latest"),
        "docker-image://" + host + ":443/deployra/s2:latest", "https://" + host + "/deployra/s2",
        "https://AWS:x@" + host + "/deployra/s2", "git://" + host + "/deployra/s2"}) {
    EXPECT_FALSE(allows({}, source)) << source;
    EXPECT_FALSE(allows({.policy = NetworkPolicy::any}, source)) << source;
  }
  for (const std::string& source :
       {"docker-image://" + host + "/deployra/s1:d1",
        "docker-image+blob://" + host + "/deployra/s1@sha256:0",
        "docker-image://" + host + "/shared/base:1",
        std::string("docker-image://docker.io/library/busybox:latest"),
        std::string("docker-image://docker.io/deployra/s2:1"), std::string("local://context")}) {
    EXPECT_TRUE(allows({}, source)) << source;
  }
}

TEST(SourcePolicy, RegistriesOfTheOperatorsChoiceMayBeAnywhere) {
  const SourceRules rules{.policy = NetworkPolicy::public_only, .registries = {"10.0.0.5:5000"}};
  EXPECT_TRUE(allows(rules, "docker-image://10.0.0.5:5000/base:1"));
  EXPECT_FALSE(allows(rules, "docker-image://10.0.0.5:5001/base:1"));
  EXPECT_FALSE(allows(rules, "docker-image://127.0.0.1:5000/base:1"));
  EXPECT_FALSE(allows(rules, "docker-image://localhost:5000/base:1"));
  EXPECT_FALSE(allows(rules, "docker-image://169.254.169.254/base:1"));
  EXPECT_FALSE(allows(rules, "http://10.0.0.5:5000/v2/"));
  EXPECT_TRUE(allows({.policy = NetworkPolicy::any}, "docker-image://127.0.0.1:5000/base:1"));
}

/// The customer's line, empty: not refused.
std::string refusal(std::string_view text, bool keeps_policies = false,
                    NetworkPolicy policy = NetworkPolicy::public_only,
                    const GivenArguments& given = {}) {
  static network::Resolver resolver;
  const auto checked =
      check_sources({.policy = policy}, "Dockerfile", text, given, keeps_policies, resolver, {});
  if (checked) {
    return {};
  }
  EXPECT_EQ(checked.error().kind, ErrorKind::build_failed);
  EXPECT_LE(checked.error().customer.size(), 191U);
  return checked.error().customer;
}

TEST(SourceCheck, ValuesThatTheBuildGivesCountAsThoseOfTheFile) {
  const auto refusal_with = [](const std::string& value, std::string_view text) {
    return refusal(text, false, NetworkPolicy::public_only, {{"V", value}});
  };
  for (const char* text : {"FROM x\nARG V=files\nADD $V /x\n", "FROM x\nARG V\nADD ${V} /x\n"}) {
    EXPECT_NE(refusal_with("http://169.254.169.254/latest/", text), "") << text;
    EXPECT_EQ(refusal_with("more", "FROM x\nARG V=files\nADD $V /x\n"), "");
  }
  for (const char* text :
       {"ARG V\nFROM $V\n", "ARG V=alpine\nFROM $V\n", "ARG V=a\nFROM ${V}/b\n"}) {
    EXPECT_NE(refusal_with("127.0.0.1:5000/x", text), "") << text;
    EXPECT_EQ(refusal_with("node:22", text), "") << text;
  }
  EXPECT_NE(refusal_with(std::string(400, 'x'), "ARG V\nFROM $V\n"), "") << "too long to tell";
}

TEST(SourceCheck, RefusesWhatMayNotBeFetched) {
  EXPECT_EQ(refusal("FROM x\nADD http://127.0.0.1:9090/metrics /m\n"),
            "Dockerfile:2: 127.0.0.1 cannot be fetched from here (network policy); use a public "
            "address, or put the file into the repository");
  for (const std::string text : {
           "FROM x\nadd --chown=1 --link http://127.1/x /\n",
           "FROM x\nADD https://2130706433/ /\n",
           "FROM x\nADD [\"http://localhost/x\", \"/\"]\n",
           "FROM x\nADD [\"\\u0068ttp://localhost/x\", \"/\"]\n",
           "FROM x\nADD h\"tt\"p://localhost/x /\n",
           "FROM x\nADD h\\ttp://localhost/x /\n",
           "FROM x\nADD ht\\\ntp://127.0.0.1/x /\n",
           "FROM x\nA\\\n# between\n\nDD http://127.0.0.1/x /\n",
           "# escape=`\nFROM x\nADD ht`\ntp://127.0.0.1/x /\n",
           "#\fescape=`\nFROM x\nADD ht`\ntp://127.0.0.1/x /\n",
           "FROM x\nRUN echo \\\\\nADD http://127.0.0.1/x /\n",
           "FROM x\nRUN echo <<EOF\nADD http://127.0.0.1/x /\nEOF\n",
           "FROM x\nONBUILD ADD http://[::1]:80/x /\n",
           "FROM x\nADD a b http://user@10.0.0.1/x /\n",
           "FROM x\nADD git@127.0.0.1:o/r.git /\n",
           "FROM x\nADD ssh://git@localhost/o/r.git /\n",
           "FROM x\nADD https://metadata.google.internal/x /\n",
           "FROM x\nADD HTTP://LOCALHOST/x /\n",
           "FROM 127.0.0.1:5000/x\n",
           "FROM busybox\nCOPY --from=localhost:5000/x /a /\n",
           "FROM busybox\nRUN --mount=type=bind,From=169.254.169.254/x,target=/m true\n",
           "FROM x\nADD [\"http://127.0.0.1/x\", \"/\"] and more\n",
           "FROM x\nADD [\"http://127.0.0.1/x\xFF\", \"/\"]\n",
           "FROM x\nADD [\"a\", \"/\"] http://127.0.0.1/x /\n",
           "FROM x\nADD \xE2\x80\x83[\"http://127.0.0.1/x\", \"/\"]\n",
           "FROM x\n\xC2\xA0"
           "ADD http://127.0.0.1/x /\n",
           "FROM x\nADD --chown=\xC3\xA0http://127.0.0.1/x /\n",
           "FROM x\nADD http://127.0.0.1./x /\n",
           "\xEF\xBB\xBF"
           "FROM 127.0.0.1:5000/x\n",
           "\xC2\x85"
           "FROM 127.0.0.1:5000/x\n",
           "FROM --platform=linux/amd64\xC2\xA0"
           "127.0.0.1:5000/x\n",
           "FROM --platform=\"linux/amd64 \" 127.0.0.1:5000/x\n",
           "FROM --platform=linux/amd64\\ x 127.0.0.1:5000/x\n",
           "FROM busybox\nRUN --mount=target=/from=x,from=127.0.0.1/x true\n",
           "FROM busybox\nRUN --mount=target=/a\\ b,from=127.0.0.1/x true\n",
           "FROM busybox\nRUN --mount=target=\"/a b\",from=127.0.0.1/x true\n",
           "ARG B=127.0.0.1:5000\nFROM $B/x\n",
           "ARG A=127.0\nARG B=.0.1:5000/x\nFROM ${A}${B}\n",
           "ARG A=127.0.0.1:5000\nARG B=$A/x\nFROM $B\n",
           "ARG Z=127.0.0.1:5000 A=$Z/x\nFROM $A\n",
           "ARG A=127.0.0.1:5000\nARG A=$A/x\nFROM $A\n",
           "ARG A=.example.com\nARG A\nFROM 127.0.0.1$A:5000/x\n",
           "FROM x\nARG A=.example.com\nFROM 127.0.0.1$A:5000/x\n",
           "FROM ${A:-127.0.0.1:5000}/x\n",
           "ARG A=1\nFROM ${A:+127.0.0.1:5000/x}\n",
       }) {
    EXPECT_THAT(refusal(text), HasSubstr("network policy")) << text;
    EXPECT_THAT(refusal(text, true), HasSubstr("network policy")) << text;
  }
}

TEST(SourceCheck, LetsOthersPass) {
  for (const char* text :
       {"", "FROM x\nADD . /app\n", "FROM x\nADD app.tar.gz /\n",
        "FROM x\nADD http://8.8.8.8/x /\n", "FROM x\nRUN wget http://127.0.0.1/x\n",
        "FROM x\nCOPY http://127.0.0.1/x /\n", "ARG JAR=target/*.jar\nFROM x\nADD ${JAR} app.jar\n",
        "FROM x\nENV F a.txt\nADD $F /\n", "FROM x\nARG V=1\nADD app-$V.tgz /\n",
        "FROM x\nARG V=1\nADD https://8.8.8.8/v$V/x /\n", "FROM x\nADD a http://127.0.0.1\n",
        "FROM x\n# ADD http://127.0.0.1/x /\n",
        "FROM registry.example.com/a/b AS c\nCOPY --from=c /a /\n", "FROM $BASE\n",
        "ARG R=8.8.8.8:5000\nARG O\nARG T=1\nARG F=-slim\nFROM ${R}/${O:-o}/app:$T$F\n",
        "ARG V=20\nFROM node:${V}\nFROM --platform=$BUILDPLATFORM node:$V-$TARGETARCH\n",
        "FROM x\nADD [a-z]*.jar /app/\n", "FROM x\nADD [\"a b\", \"http://127.0.0.1\"]\n"}) {
    EXPECT_EQ(refusal(text), "") << text;
  }
  EXPECT_EQ(refusal("FROM x\nADD http://10.0.0.1/x /\n", false, NetworkPolicy::private_networks),
            "");
  EXPECT_EQ(refusal("FROM x\nADD http://127.0.0.1/x /\n", false, NetworkPolicy::any), "");
  EXPECT_NE(refusal("FROM x\nADD http://169.254.169.254/x /\n", false, NetworkPolicy::any), "");
}

TEST(SourceCheck, WithoutPoliciesAnAddressIsWrittenOut) {
  for (const char* text :
       {"FROM x\nADD $URL /\n", "FROM x\nARG H=127.0.0.1\nADD http://$H/x /\n",
        "FROM x\nARG U=http://127.0.0.1/x\nADD ${U} /\n",
        "FROM x\nARG A=ht\nADD ${A}tp://127.1/x /\n",
        "FROM x\nARG A=a\nADD ${A:-http://127.0.0.1} /\n", "FROM x\nADD h${B}ttp://127.0.0.1/x /\n",
        "FROM x\nARG A=$B\nADD $A /\n"}) {
    EXPECT_THAT(refusal(text), HasSubstr("written out")) << text;
    EXPECT_EQ(refusal(text, true), "") << text;
  }
}

TEST(SourceCheck, WithoutPoliciesABaseImageCanBeRead) {
  std::string doubling = "ARG A=x\n";
  for (int i = 0; i < 20; ++i) {
    doubling += "ARG A=$A$A\n";
  }
  for (const std::string& text :
       {std::string("ARG A=a\nFROM ${A#b}\n"), std::string("FROM ${A\n"), doubling + "FROM $A\n"}) {
    EXPECT_THAT(refusal(text), HasSubstr("base image written out")) << text;
    EXPECT_EQ(refusal(text, true), "") << text;
  }
}

TEST(SourceCheck, TakesTimeInProportionToTheText) {
  std::string lines;
  std::string variables = "ARG B=" + std::string(250, 'x') + "\n";
  for (const char c : std::string_view("abcdefg")) {
    variables += "ARG B=" + std::string(250, c) + "\n";
  }
  for (int i = 0; lines.size() < 300'000; ++i) {
    lines += "A\\\n";
    variables += "ARG A" + std::to_string(i) + "=$B\n";
  }
  for (const std::string& text : {lines, variables}) {
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(refusal(text), "");
    // In proportion to its square it takes hours; a sanitizer and a busy machine take seconds.
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::minutes(2));
  }
  EXPECT_THAT(refusal(variables + "FROM $A1\n"), HasSubstr("written out"));
}

}  // namespace
}  // namespace builder::adapters::buildkit
