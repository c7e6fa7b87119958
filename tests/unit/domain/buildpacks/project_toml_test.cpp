#include "domain/buildpacks/project_toml.hpp"

#include "domain/buildpacks/platform_env.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::domain::buildpacks {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::string complaint(std::string_view content) {
  const auto project = read_project_toml(content);
  EXPECT_FALSE(project) << content.substr(0, 100);
  if (project) {
    return {};
  }
  EXPECT_EQ(project.error().kind, ErrorKind::invalid_input);
  EXPECT_LE(project.error().customer.size(), 191U);
  return project.error().customer;
}

TEST(ProjectToml, ReadsTheCurrentSchema) {
  const auto project = read_project_toml(R"(
[_]
schema-version = "0.2"
id = "io.example.app"
[io.buildpacks]
builder = "heroku/builder:24"
exclude = ["/docs", "*.md"]
[[io.buildpacks.build.env]]
name = "BP_NODE_VERSION"
value = "22"
[[io.buildpacks.build.env]]
name = "EMPTY"
value = ""
)");
  ASSERT_TRUE(project) << project.error().message;
  EXPECT_EQ(project->builder, "heroku/builder:24");
  EXPECT_THAT(project->exclude, ElementsAre("/docs", "*.md"));
  ASSERT_THAT(project->environment, SizeIs(2));
  EXPECT_EQ(project->environment[0].key, "BP_NODE_VERSION");
  EXPECT_EQ(project->environment[0].value, "22");
}

TEST(ProjectToml, ReadsTheFirstSchema) {
  const auto project = read_project_toml(R"(
[project]
id = "x"
[build]
include = ["src/"]
[[build.env]]
name = "A"
value = "b"
)");
  ASSERT_TRUE(project) << project.error().message;
  EXPECT_THAT(project->include, ElementsAre("src/"));
  EXPECT_THAT(project->environment, SizeIs(1));
}

TEST(ProjectToml, AnEmptyOneAsksForNothing) {
  EXPECT_TRUE(read_project_toml("").value().exclude.empty());
  EXPECT_TRUE(read_project_toml("[other]\nx = 1\n").value().builder.empty());
}

TEST(ProjectToml, ExcludeWinsOverInclude) {
  const auto project =
      read_project_toml("[io.buildpacks]\ninclude = ['a']\nexclude = ['b']\n").value();
  EXPECT_TRUE(project.include.empty());
  EXPECT_THAT(project.exclude, ElementsAre("b"));
  EXPECT_THAT(project.warnings, SizeIs(1));
}

TEST(ProjectToml, BuildpacksOfItsOwnAreRefused) {
  EXPECT_THAT(complaint("[[io.buildpacks.group]]\nid = 'x'\n"), HasSubstr("not supported"));
  EXPECT_THAT(complaint("[[io.buildpacks.group]]\nuri = 'https://evil.example/bp.tgz'\n"),
              HasSubstr("not supported"));
  EXPECT_THAT(complaint("[[io.buildpacks.pre.group]]\nid = 'x'\n"), HasSubstr("not supported"));
  EXPECT_THAT(complaint("[[build.buildpacks]]\nid = 'x'\n[build.buildpacks.script]\ninline='id'\n"),
              HasSubstr("not supported"));
}

TEST(ProjectToml, MistakesAreNamed) {
  EXPECT_THAT(complaint("[io.buildpacks\n"), HasSubstr("line 1"));
  EXPECT_THAT(complaint("[io.buildpacks]\nexclude = 'x'\n"), HasSubstr("\"exclude\""));
  EXPECT_THAT(complaint("[io.buildpacks]\nexclude = [1]\n"), HasSubstr("\"exclude\""));
  EXPECT_THAT(complaint("[io.buildpacks]\nbuilder = 1\n"), HasSubstr("\"builder\""));
  EXPECT_THAT(complaint("[[io.buildpacks.build.env]]\nname = 'x'\n"), HasSubstr("\"value\""));
  EXPECT_THAT(complaint("[io.buildpacks.build]\nenv = 3\n"), HasSubstr("list"));
}

TEST(ProjectToml, HostileOnesEndInAnError) {
  complaint(std::string(100'000, '['));
  complaint("a = " + std::string(100'000, '['));
  complaint("a = \"" + std::string("\xff\xfe", 2) + "\"");
  complaint(std::string("a = 1\0b", 7));
  complaint("[io.buildpacks]\nbuilder = \"" + std::string(10'000, 'a') + "\"\n");
  std::string many = "[io.buildpacks]\nexclude = [";
  for (int i = 0; i < 5'000; ++i) {
    many += "'x',";
  }
  complaint(many + "]\n");
}

TEST(PlatformEnvironment, HasTheOriginalsDefaults) {
  const std::vector<PortMapping> ports{{.service_port = 80, .container_port = 5001},
                                       {.service_port = 1, .container_port = 2}};
  const auto merged = merge_environment(default_environment(ports, "18.*"), {}, {});
  EXPECT_EQ(merged.variables.at("PORT"), "5001");
  EXPECT_EQ(merged.variables.at("BP_INCLUDE_FILES"), "*");
  EXPECT_EQ(merged.variables.at("BP_NODE_VERSION"), "18.*");
  const auto plain = merge_environment(default_environment({}, ""), {}, {});
  EXPECT_EQ(plain.variables.at("PORT"), "3000");
  EXPECT_FALSE(plain.variables.contains("BP_NODE_VERSION"));
}

TEST(PlatformEnvironment, TheServiceWinsOverTheProjectOverTheDefaults) {
  const std::vector<EnvironmentVariable> defaults{{"A", "1"}, {"B", "1"}, {"C", "1"}};
  const std::vector<EnvironmentVariable> project{{"B", "2"}, {"C", "2"}};
  const std::vector<EnvironmentVariable> service{{"C", "3"}};
  const auto merged = merge_environment(defaults, project, service);
  EXPECT_EQ(merged.variables.at("A"), "1");
  EXPECT_EQ(merged.variables.at("B"), "2");
  EXPECT_EQ(merged.variables.at("C"), "3");
}

TEST(PlatformEnvironment, NamesThatAreNoFileNamesAreLeftOut) {
  const std::vector<EnvironmentVariable> hostile{{"../../etc/passwd", "x"},
                                                 {"a/b", "x"},
                                                 {"", "x"},
                                                 {"..", "x"},
                                                 {std::string(500, 'A'), "x"},
                                                 {"A B", "x"},
                                                 {"1A", "x"},
                                                 {"A\n", "x"},
                                                 {"SUFFIX.override", "x"},
                                                 {"OK", std::string("a\0b", 3)}};
  const auto merged = merge_environment({}, hostile, {});
  EXPECT_TRUE(merged.variables.empty());
  EXPECT_THAT(merged.warnings, SizeIs(hostile.size()));
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) {
    all += text;
  }
  return all;
}

// The library has no limit for keys: its stack ended the worker.
TEST(ProjectToml, ADeepOneIsRefusedBeforeItIsRead) {
  constexpr std::size_t k_deep = 100'000;
  const std::string dots = repeated("a.", k_deep) + "a";
  const std::vector<std::string> texts{
      dots + " = 1",
      "[" + dots + "]",
      "[[" + dots + "]]",
      "x = 1\n[" + dots + "]\n",
      repeated("a . ", k_deep) + "a = 1",
      repeated("\"a\".", k_deep) + "\"a\" = 1",
      repeated("'a\"'.", k_deep) + "'a' = 1",
      repeated("\"\\\"\".", k_deep) + "a = 1",
      "x = {" + dots + " = 1}",
      "x = {y = 1, " + dots + " = 1}",
      "x = [{" + dots + " = 1}]",
      "x = [\n# [\n{" + dots + " = 1}]",
      "x = \"\"\"\n'\"\"\"\n" + dots + " = 1",
      "x = \"\"\"a\"\"\"\"\"\n" + dots + " = 1",
      "x = '''\\'''\n" + dots + " = 1",
      "x = ''\n" + dots + " = 1",
      "x = '\\'\n" + dots + " = 1",
      repeated("[a.b]\n", 10) + repeated("x = {a.b = ", k_deep),
      "x = " + repeated("[", k_deep),
      "x = " + repeated("[\n", k_deep),
      repeated("x = {", k_deep),
      "[" + repeated("a.", 40) + "a]\n" + repeated("b.", 40) + "b = 1",
      "x = {" + repeated("a.", 40) + "a = {" + repeated("b.", 40) + "b = 1}}"};
  for (const std::string& text : texts) {
    EXPECT_THAT(complaint(text), HasSubstr("more than 64 levels of tables")) << text.substr(0, 60);
  }
}

TEST(ProjectToml, DotsAndBracketsInTextsAndNumbersAreNoLevels) {
  const std::string many = repeated(".[{", 200);
  for (const std::string& text :
       {"x = \"" + many + "\"", "x = '" + many + "'", "x = \"\"\"\n" + many + "\n\"\"\"",
        "x = '''\n" + many + "\n'''", "# " + many, "x = [" + repeated("1.5, ", 200) + "]",
        repeated("[[a.b]]\nc.d = 1.5\ne = {f = [1.5, {g.h = 2}]}\n", 200),
        "x = [\n" + repeated("  [1.5],\n", 200) + "]"}) {
    EXPECT_TRUE(read_project_toml(text)) << text.substr(0, 60);
  }
}

}  // namespace
}  // namespace builder::domain::buildpacks
