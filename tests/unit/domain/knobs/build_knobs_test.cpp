#include "domain/knobs/build_knobs.hpp"

#include "domain/customer_line.hpp"
#include "domain/knobs/knob_readers.hpp"
#include "domain/platform_name.hpp"

#include <gtest/gtest.h>

namespace builder::domain::knobs {
namespace {

using namespace std::chrono_literals;
using Variables = std::vector<EnvironmentVariable>;

KnobRules all_allowed() {
  KnobRules rules{.longest_timeout = 30min,
                  .longest_silence = 10min,
                  .widest_sharing = CacheSharing::organization};
  for (const std::string_view name : knob_names()) {
    rules.allowed.emplace(name);
  }
  return rules;
}

Result<BuildKnobs> file(std::string_view content) {
  return read_file("deployra.toml", content, all_allowed());
}

/// The customer's line; empty: it was read.
std::string fault(std::string_view content) {
  const auto read = file(content);
  return read ? std::string() : read.error().customer;
}

std::string fault(const Variables& variables) {
  const auto read = read_variables(variables, all_allowed());
  return read ? std::string() : read.error().customer;
}

constexpr std::string_view k_whole_file = R"(# How the shop is built.
[build]
context = "./apps//web"
dockerfile = "docker/web.Dockerfile"
target = "runtime"
platform = "linux/arm64"
no_cache = true
cache_sharing = "organization"
base_images = "pinned"
builder = "dockerfile"
builder_image = "paketobuildpacks/builder-jammy-full"
timeout = "20m"
silence_timeout = "90s"
ignored_paths = ["docs/", "*.md"]

[build.args]
NODE_ENV = "production"
EMPTY = ""

[build.env]
BP_NODE_VERSION = "20"
)";

TEST(KnobsFile, SaysEachKnobAndWhereItIsWritten) {
  const auto knobs = file(k_whole_file);
  ASSERT_TRUE(knobs) << knobs.error().message;
  EXPECT_EQ(knobs->context->value, "apps/web");
  EXPECT_EQ(knobs->context->where, "deployra.toml:3");
  EXPECT_EQ(knobs->dockerfile->value, "docker/web.Dockerfile");
  EXPECT_EQ(knobs->target->value, "runtime");
  EXPECT_EQ(knobs->platform->value, "linux/arm64");
  EXPECT_TRUE(knobs->no_cache->value);
  EXPECT_EQ(knobs->cache_sharing->value, CacheSharing::organization);
  EXPECT_EQ(knobs->base_images->value, BaseImages::pinned);
  EXPECT_EQ(knobs->builder->value, BuilderKind::dockerfile);
  EXPECT_EQ(knobs->builder_image->value, "paketobuildpacks/builder-jammy-full");
  EXPECT_EQ(knobs->timeout->value, 20min);
  EXPECT_EQ(knobs->silence_timeout->value, 90s);
  EXPECT_EQ(knobs->ignored_paths->value, (std::vector<std::string>{"docs/", "*.md"}));
  EXPECT_EQ(knobs->args.at("NODE_ENV").value, "production");
  EXPECT_EQ(knobs->args.at("NODE_ENV").where, "deployra.toml:17");
  EXPECT_EQ(knobs->args.at("EMPTY").value, "") << "which takes a default away";
  EXPECT_EQ(knobs->env.at("BP_NODE_VERSION").value, "20");
}

TEST(KnobsFile, AnEmptyOneSaysNothing) {
  EXPECT_EQ(file("").value(), BuildKnobs());
  EXPECT_EQ(file("[build]\n").value(), BuildKnobs());
  EXPECT_EQ(file("[build]\ncontext = \".\"").value().context->value, "");
}

TEST(KnobsFile, ArgumentsMayBeNamesOfTheServicesVariables) {
  const auto knobs = file("[build]\nargs = ['NPM_TOKEN',\n 'A=b=c']");
  ASSERT_TRUE(knobs);
  EXPECT_EQ(knobs->args.at("NPM_TOKEN").value, std::nullopt);
  EXPECT_EQ(knobs->args.at("A").value, "b=c");
  EXPECT_EQ(knobs->args.at("A").where, "deployra.toml:3");
}

TEST(KnobsFile, AFaultNamesItsLineAndWhatIsExpected) {
  EXPECT_EQ(fault("[build]\n\ntagret = 'x'"),
            "deployra.toml:3: \"tagret\" is no key of [build]; did you mean \"target\"?");
  EXPECT_EQ(fault("[build]\nwhatever = 1"),
            "deployra.toml:2: \"whatever\" is none of args base_images builder builder_image "
            "cache_sharing context dockerfile env force ignored_paths no_cache platform "
            "silence_timeout target timeout");
  EXPECT_EQ(fault("\ntarget = 'x'"), "deployra.toml:2: \"target\" belongs below the line [build]");
  EXPECT_EQ(fault("[biuld]\ntarget = 'x'"),
            "deployra.toml:1: \"biuld\" is not known here; the only table is [build]");
  EXPECT_EQ(fault("build = 1"), "deployra.toml:1: \"build\" must be a table: [build]");
  EXPECT_EQ(fault("[build]\ntarget = 1"), "deployra.toml:2: \"target\" must be a text in quotes");
  EXPECT_EQ(fault("[build]\nno_cache = 'yes'"),
            "deployra.toml:2: \"no_cache\" must be true or false, without quotes");
  EXPECT_EQ(fault("[build]\nignored_paths = 'docs'"),
            "deployra.toml:2: \"ignored_paths\" must be a list of texts: [\"docs/\", \"*.md\"]");
  EXPECT_EQ(fault("[build]\nargs = {\nA = 1 }").substr(0, 15), "deployra.toml: ")
      << "a table in braces is one line";
  EXPECT_EQ(fault("[build.args]\nA = 1"),
            "deployra.toml:2: the value of \"A\" in \"args\" must be a text in quotes");
  EXPECT_EQ(fault("[build]\nargs = 'A'").substr(0, 42),
            "deployra.toml:2: \"args\" must be a table {N");
  EXPECT_EQ(fault("[build]\ntarget = 'a'\ntarget = 'b'").substr(0, 22), "deployra.toml: line 3:");
  EXPECT_EQ(fault("[build]\nz = 1\na = 1").substr(0, 16), "deployra.toml:2:")
      << "the first one, not the one that sorts before";
}

TEST(KnobsFile, AValueThatCannotBeUsedSaysWhy) {
  EXPECT_EQ(fault("[build]\ncontext = '../x'"),
            "deployra.toml:2: \"context\" is '../x', which is no path in the repository; write one "
            "from its root, like apps/web");
  EXPECT_NE(fault("[build]\ncontext = '/apps'"), "");
  EXPECT_NE(fault("[build]\ncontext = 'a\\b'"), "");
  EXPECT_NE(fault("[build]\ndockerfile = '.'"), "");
  EXPECT_NE(fault("[build]\ndockerfile = \"a\\nb\""), "");
  EXPECT_EQ(fault("[build]\nplatform = 'amd64'").substr(0, 51),
            "deployra.toml:2: \"platform\" is 'amd64': amd64 is no");
  EXPECT_EQ(fault("[build]\nplatform = 'linux/amd64,linux/arm64'"), "");
  EXPECT_NE(fault("[build]\nplatform = 'linux/amd64,'"), "");
  EXPECT_NE(fault("[build]\nplatform = "
                  "'linux/1,linux/2,linux/3,linux/4,linux/5,linux/6,linux/7,linux/8,linux/9'"),
            "");
  EXPECT_NE(fault("[build]\nplatform = ''"), "");
  EXPECT_NE(fault("[build]\ntarget = 'a b'"), "");
  EXPECT_NE(fault("[build]\nbuilder = 'docker'"), "");
  EXPECT_NE(fault("[build]\nbuilder_image = 'a b'"), "");
  EXPECT_NE(fault("[build]\ntimeout = '0'"), "");
  EXPECT_NE(fault("[build]\ntimeout = '-5m'"), "");
  EXPECT_EQ(fault("[build]\ntimeout = '31m'"),
            "deployra.toml:2: \"timeout\" is 31 minutes, and may be 30 minutes at most here; write "
            "less, or ask the operator for a higher limit");
  EXPECT_EQ(fault("[build]\ncache_sharing = 'all'"),
            "deployra.toml:2: \"cache_sharing\" is \"all\", which is wider than this platform "
            "shares caches");
}

TEST(KnobsFile, NoArgumentSteersTheFrontend) {
  for (const std::string name :
       {"BUILDKIT_SYNTAX", "BUILDKIT_CACHE_MOUNT_NS", "buildkit_syntax", "HTTP_PROXY", "no_proxy",
        "SOURCE_DATE_EPOCH", "TARGETPLATFORM", "a.b", "1A", "A B", ""}) {
    EXPECT_NE(fault("[build.args]\n\"" + name + "\" = 'x'"), "") << name;
    EXPECT_NE(fault("[build]\nargs = ['" + name + "=x']"), "") << name;
    EXPECT_NE(fault(Variables{{"DEPLOYRA_BUILD_ARGS", "A,=x," + name + "=x"}}), "") << name;
  }
  EXPECT_EQ(
      fault("[build.args]\nBUILDKIT_SYNTAX = 'x'"),
      "deployra.toml:2: \"args\": 'BUILDKIT_SYNTAX' steers BuildKit itself and cannot be set");
}

TEST(KnobsFile, WhatIsTooMuchIsRefusedWithAShortLine) {
  std::string many = "[build]\nignored_paths = [";
  for (int i = 0; i < 2000; ++i) {
    many += "'a',";
  }
  const std::string long_text(5000, 'x');
  for (const std::string& content : std::vector<std::string>{
           many + "]", "[build]\ntarget = '" + long_text + "'", "[build]\n" + long_text + " = 1",
           "[build]\nignored_paths = ['" + long_text + "']",
           "[build]\nargs = ['A=" + std::string(70'000, 'x') + "']",
           "[build]\nargs = ['A=\\u0000']\ntarget = \"a\\u0000\"", std::string(3000, '['),
           "\xff"}) {
    const std::string line = fault(content);
    EXPECT_NE(line, "") << content.substr(0, 60);
    EXPECT_EQ(customer_line(line), line);
  }
}

TEST(KnobsRules, WhatTheOperatorDoesNotAllowIsAnError) {
  KnobRules rules = all_allowed();
  rules.allowed.erase("no_cache");
  EXPECT_EQ(
      read_file("a/deployra.toml", "[build]\nno_cache = false", rules).error().customer,
      "a/deployra.toml:2: \"no_cache\" may not be set on this platform; remove it, or ask the "
      "operator to allow it");
  EXPECT_EQ(
      read_variables({{"DEPLOYRA_BUILD_NO_CACHE", "1"}}, rules).error().customer,
      "DEPLOYRA_BUILD_NO_CACHE may not be set on this platform; remove it, or ask the operator "
      "to allow it");
  EXPECT_TRUE(read_variables({{"DEPLOYRA_BUILD_NO_CACHE", ""}}, {})) << "which says nothing";
  rules = all_allowed();
  rules.longest_silence = 0s;
  EXPECT_TRUE(read_file("x", "[build]\nsilence_timeout = '2h'", rules)) << "any";
}

TEST(KnobsRules, AreReadAsTheOperatorWritesThem) {
  EXPECT_EQ(read_rules("all").value().allowed.size(), knob_names().size());
  EXPECT_TRUE(read_rules("none").value().allowed.empty());
  EXPECT_EQ(read_rules("context, target").value().allowed,
            (std::set<std::string, std::less<>>{"context", "target"}));
  const auto wide = read_rules("target,timeout=2h,silence_timeout=30m");
  ASSERT_TRUE(wide);
  EXPECT_TRUE(wide->allowed.contains("timeout"));
  EXPECT_EQ(wide->longest_timeout, 2h);
  EXPECT_EQ(wide->longest_silence, 30min);
  for (const std::string_view wrong : {"contxt", "timeout=", "timeout=x", "target=2h", "All"}) {
    EXPECT_FALSE(read_rules(wrong)) << wrong;
  }
}

TEST(PlatformName, MachinesAreTheSameWhateverTheyAreCalled) {
  EXPECT_TRUE(is_same_machine("linux/arm64", "Linux/aarch64"));
  EXPECT_TRUE(is_same_machine("linux/arm/v7", "linux/arm"));
  EXPECT_TRUE(is_same_machine("linux/x86_64", "linux/amd64"));
  EXPECT_FALSE(is_same_machine("linux/arm64", "linux/amd64"));
  EXPECT_FALSE(is_same_machine("linux/amd64", "windows/amd64"));
  EXPECT_FALSE(is_same_machine("", "linux/amd64"));
}

TEST(KnobsVariables, AreTheSameInWordsOfAVariable) {
  const auto knobs = read_variables({{"DEPLOYRA_BUILD_CONTEXT", " apps/web/ "},
                                     {"DEPLOYRA_BUILD_NO_CACHE", "1"},
                                     {"DEPLOYRA_BUILD_TARGET", "old"},
                                     {"DEPLOYRA_BUILD_TARGET", "new"},
                                     {"DEPLOYRA_BUILD_IGNORED_PATHS", "docs/, *.md\na b"},
                                     {"DEPLOYRA_BUILD_ARGS", "NPM_TOKEN, A=1\nB=x=y"},
                                     {"DEPLOYRA_BUILD_ENV", "BP_JVM_VERSION=21"},
                                     {"DEPLOYRA_BUILD_TIMEOUT", ""},
                                     {"NODE_ENV", "x"}},
                                    all_allowed());
  ASSERT_TRUE(knobs) << knobs.error().message;
  EXPECT_EQ(knobs->context->value, "apps/web");
  EXPECT_EQ(knobs->context->where, "DEPLOYRA_BUILD_CONTEXT");
  EXPECT_TRUE(knobs->no_cache->value);
  EXPECT_EQ(knobs->target->value, "new") << "the last one counts";
  EXPECT_EQ(knobs->ignored_paths->value, (std::vector<std::string>{"docs/", "*.md", "a b"}));
  EXPECT_EQ(knobs->args.at("NPM_TOKEN").value, std::nullopt);
  EXPECT_EQ(knobs->args.at("B").value, "x=y");
  EXPECT_EQ(knobs->env.at("BP_JVM_VERSION").value, "21");
  EXPECT_FALSE(knobs->timeout);
  EXPECT_EQ(fault(Variables{{"DEPLOYRA_BUILD_NO_CACHE", "yes"}}),
            "DEPLOYRA_BUILD_NO_CACHE is 'yes'; it must be \"true\" or \"false\"");
}

TEST(KnobsVariables, AMisspeltOneIsTold) {
  const Variables variables{{"DEPLOYRA_BUILD_TAGRET", "x"},
                            {"DEPLOYRA_BUILD_TARGET", "x"},
                            {"DEPLOYRA_BUILD_target", "x"},
                            {"DEPLOYRA_BUILD_NUMBER", "7"}};
  EXPECT_EQ(
      misspelt(variables),
      (std::vector<std::string>{"The variable DEPLOYRA_BUILD_TAGRET says nothing to the build; "
                                "is DEPLOYRA_BUILD_TARGET meant?",
                                "The variable DEPLOYRA_BUILD_target says nothing to the build; "
                                "is DEPLOYRA_BUILD_TARGET meant?"}));
}

TEST(KnobsVariables, AreNotTheApps) {
  const Variables variables{{"DEPLOYRA_BUILD_TARGET", "x"},
                            {"DEPLOYRA_BUILD_CONFIG", "x"},
                            {"DEPLOYRA_BUILD_NUMBER", "7"},
                            {"A", "1"}};
  const auto app = passed_on(variables);
  ASSERT_EQ(app.size(), 2u);
  EXPECT_EQ(app[0].key, "DEPLOYRA_BUILD_NUMBER") << "which is no knob";
  EXPECT_EQ(app[1].key, "A");
  const auto asked = passed_on(variables, {{"DEPLOYRA_BUILD_TARGET", {}}});
  EXPECT_EQ(asked.size(), 3u);
}

TEST(KnobsVariables, NameAnotherFile) {
  EXPECT_EQ(file_named_in({{"A", "1"}}).value(), std::nullopt);
  EXPECT_EQ(file_named_in({{"DEPLOYRA_BUILD_CONFIG", ""}}).value(), std::nullopt);
  EXPECT_EQ(file_named_in({{"DEPLOYRA_BUILD_CONFIG", "./apps/web/deployra.toml"}}).value()->value,
            "apps/web/deployra.toml");
  EXPECT_NE(file_named_in({{"DEPLOYRA_BUILD_CONFIG", "../x"}}).error().customer, "");
}

TEST(BuildKnobs, VariablesGoBeforeTheFile) {
  const auto variables = read_variables({{"DEPLOYRA_BUILD_TARGET", "debug"},
                                         {"DEPLOYRA_BUILD_ARGS", "NODE_ENV"},
                                         {"DEPLOYRA_BUILD_IGNORED_PATHS", "x"}},
                                        all_allowed());
  const BuildKnobs knobs = merged(*variables, *file(k_whole_file));
  EXPECT_EQ(knobs.target->value, "debug");
  EXPECT_EQ(knobs.target->where, "DEPLOYRA_BUILD_TARGET");
  EXPECT_EQ(knobs.context->value, "apps/web");
  EXPECT_EQ(knobs.args.at("NODE_ENV").value, std::nullopt);
  EXPECT_TRUE(knobs.args.contains("EMPTY")) << "each name for itself";
  EXPECT_EQ(knobs.ignored_paths->value, std::vector<std::string>{"x"}) << "a list as a whole";
  EXPECT_EQ(merged({}, *file(k_whole_file)), *file(k_whole_file));
}

TEST(BuildKnobs, AssignmentsTakeTheServicesValues) {
  const Assignments assignments{
      {"A", {.value = "typed"}}, {"B", {.value = std::nullopt}}, {"C", {.value = std::nullopt}}};
  const auto values = resolved(assignments, {{"A", "other"}, {"B", "1"}, {"B", "2"}});
  ASSERT_EQ(values.size(), 2u);
  EXPECT_EQ(values[0].value, "typed");
  EXPECT_EQ(values[1].value, "2");
  EXPECT_EQ(listed_names(assignments), (std::set<std::string>{"B", "C"}));
  EXPECT_EQ(given_values(assignments), (std::map<std::string, std::string>{{"A", "typed"}}));
}

TEST(BuildKnobs, AreShownWithoutValuesOfVariables) {
  const auto list = shown(*file(k_whole_file));
  ASSERT_EQ(list.size(), 15u);
  EXPECT_EQ(list[0].name, "args");
  EXPECT_EQ(list[0].value, "EMPTY=…");
  EXPECT_EQ(list[0].where, "deployra.toml:18");
  EXPECT_EQ(list.back().name, "timeout");
  EXPECT_EQ(list.back().value, "20 minutes");
}

TEST(ChangeFilter, KnowsWhatABuildIsAbout) {
  ChangeFilter filter({"docs/", "*.md", "!docs/api/", "/tests"});
  EXPECT_FALSE(filter.concerns("docs/a.txt"));
  EXPECT_FALSE(filter.concerns("apps/web/README.md"));
  EXPECT_TRUE(filter.concerns("docs/api/openapi.yaml"));
  EXPECT_FALSE(filter.concerns("tests/x/y"));
  EXPECT_TRUE(filter.concerns("apps/tests"));
  EXPECT_TRUE(filter.concerns("docs")) << "a file of that name";
  EXPECT_TRUE(ChangeFilter({}).concerns("a"));
}

TEST(ChangeFilter, ConcernsWhatItCannotTell) {
  ChangeFilter filter({"a/*"}, 100);
  EXPECT_FALSE(filter.concerns("a/b"));
  EXPECT_TRUE(filter.concerns("a/" + std::string(1000, 'b')));
  EXPECT_TRUE(filter.concerns("a/b")) << "the budget is for all paths";
}

}  // namespace
}  // namespace builder::domain::knobs
