#include "adapters/buildkit/diagnosis/rebuild.hpp"

#include "fakes/memory_tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {
namespace {

using namespace std::chrono_literals;

struct RebuildCase {
  std::string_view name;
  std::string_view dockerfile;
  std::vector<std::string> changed;  ///< `.json` files of the tree are manifests.
  /// The lines whose steps came from the cache; all others ran for 41 s.
  std::vector<std::size_t> cached;
  std::string_view line;  ///< Empty: silent.
};

/// A project of every language.
fakes::MemoryTree project() {
  fakes::MemoryTree tree;
  for (const char* path : {"src/a.ts",
                           "src/b.ts",
                           "src/c.ts",
                           "README.md",
                           ".env",
                           "package-lock.json",
                           "requirements.txt",
                           "requirements-dev.txt",
                           "go.mod",
                           "go.sum",
                           "main.go",
                           "Gemfile",
                           "Gemfile.lock",
                           "pyproject.toml",
                           "poetry.lock",
                           "composer.json",
                           "composer.lock",
                           "app.csproj",
                           "web/package-lock.json",
                           "web/index.ts",
                           "api/go.mod",
                           "api/go.sum",
                           "api/main.go",
                           "hooks/a.ts",
                           "packages.txt",
                           "sub/package.json"}) {
    tree.add_file(path, "{}");
  }
  tree.add_file("package.json", R"({"name": "x", "scripts": {"build": "tsc"}})");
  tree.add_file("web/package.json", "{}");
  tree.add_file("mono/package.json", R"({"workspaces": ["a"]})");
  tree.add_file("mono/a.ts", "");
  tree.add_file("lib/requirements.txt", "-e .\n");
  tree.add_file("lib/a.py", "");
  tree.add_file("hooks/package.json", R"({"scripts": {"postinstall": "node a.ts"}})");
  return tree;
}

std::vector<RanStep> steps_of(const Dockerfile& dockerfile, const RebuildCase& test) {
  std::vector<RanStep> steps;
  for (const Instruction& instruction : dockerfile.instructions()) {
    if (instruction.ordinal == 0) {
      continue;
    }
    std::string name = "[";
    name +=
        instruction.stage + " " + std::to_string(instruction.ordinal) + "/9] " + instruction.text;
    const bool cached =
        std::ranges::find(test.cached, instruction.lines.first) != test.cached.end();
    steps.push_back(
        {.name = std::move(name), .cached = cached, .duration = cached ? 0ms : 41'200ms});
  }
  return steps;
}

class RebuildTest : public testing::TestWithParam<RebuildCase> {};

TEST_P(RebuildTest, SaysWhatIsSure) {
  const RebuildCase& test = GetParam();
  const Dockerfile dockerfile(test.dockerfile);
  const fakes::MemoryTree tree = project();
  EXPECT_EQ(
      avoidable_rebuild(dockerfile, {steps_of(dockerfile, test), test.changed}, tree).value_or(""),
      test.line);
}

const std::vector<std::string> k_sources{"src/a.ts", "src/b.ts", "src/c.ts"};

INSTANTIATE_TEST_SUITE_P(
    Cases, RebuildTest,
    testing::Values(
        RebuildCase{"npm",
                    "FROM node\nWORKDIR /app\nCOPY . .\nRUN npm ci\nRUN npm run build\n",
                    k_sources,
                    {2},
                    "`COPY . .` (line 3) was not cached: 3 files changed (src/a.ts, src/b.ts, …). "
                    "It made `RUN npm ci` run again (41 s). Copy package.json and "
                    "package-lock.json first, run `npm ci`, and copy the rest behind it to keep "
                    "that step."},
        RebuildCase{"npm_with_changed_manifest",
                    "FROM node\nWORKDIR /app\nCOPY . .\nRUN npm ci\n",
                    {"src/a.ts", "package.json"},
                    {2},
                    ""},
        RebuildCase{"npm_of_a_workspace",
                    "FROM node\nWORKDIR /app\nCOPY . .\nRUN npm ci\n",
                    {"src/a.ts", "sub/package.json"},
                    {2},
                    ""},
        RebuildCase{"manifests_first",
                    "FROM node\nWORKDIR /app\nCOPY package*.json ./\nRUN npm ci\nCOPY . .\n"
                    "RUN npm run build\n",
                    k_sources,
                    {2, 3, 4},
                    ""},
        RebuildCase{"manifests_first_and_run_last",
                    "FROM node\nWORKDIR /app\nCOPY package*.json ./\nCOPY . .\nRUN npm ci\n",
                    k_sources,
                    {2, 3},
                    "`COPY . .` (line 4) was not cached: 3 files changed (src/a.ts, src/b.ts, …). "
                    "It made `RUN npm ci` run again (41 s). Put `npm ci` before it to keep that "
                    "step."},
        RebuildCase{"manifests_first_and_sources_in_a_folder",
                    "FROM python\nWORKDIR /app\nCOPY requirements.txt .\nCOPY src ./src\n"
                    "RUN pip install -r requirements.txt\n",
                    {"src/a.ts"},
                    {2, 3},
                    "`COPY src ./src` (line 4) was not cached: src/a.ts changed. It made `RUN pip "
                    "install -r requirements.txt` run again (41 s). Put `pip install -r "
                    "requirements.txt` before it to keep that step."},
        RebuildCase{"a_workspace",
                    "FROM node\nWORKDIR /app\nCOPY mono .\nRUN npm ci\n",
                    {"mono/a.ts"},
                    {2},
                    ""},
        RebuildCase{"requirements_of_the_source",
                    "FROM python\nWORKDIR /app\nCOPY lib .\nRUN pip install -r requirements.txt\n",
                    {"lib/a.py"},
                    {2},
                    ""},
        RebuildCase{"yarn_elsewhere",
                    "FROM node\nWORKDIR /app\nCOPY . .\nRUN yarn --cwd web\n",
                    {"src/a.ts"},
                    {2},
                    ""},
        RebuildCase{"a_login_in_the_command",
                    "FROM python\nWORKDIR /app\nCOPY . .\nRUN pip install --index-url "
                    "https://__token__:pypi-AgEIcHlwaS5vcmc@pypi.test/simple -r requirements.txt\n",
                    {"src/a.ts"},
                    {2},
                    ""},
        RebuildCase{"sources_alone_in_a_folder",
                    "FROM node\nWORKDIR /app\nCOPY src ./src\nRUN npm ci\n",
                    {"src/a.ts"},
                    {2},
                    ""},
        RebuildCase{
            "base_moved", "FROM node\nWORKDIR /app\nCOPY . .\nRUN npm ci\n", k_sources, {}, ""},
        RebuildCase{
            "nothing_known", "FROM node\nWORKDIR /app\nCOPY . .\nRUN npm ci\n", {}, {2}, ""},
        RebuildCase{"changed_file_is_not_copied",
                    "FROM node\nWORKDIR /app\nCOPY web .\nRUN npm ci\n",
                    k_sources,
                    {2},
                    ""},
        RebuildCase{"folder",
                    "FROM node\nWORKDIR /app\nCOPY web/ ./\nRUN npm ci\n",
                    {"web/index.ts"},
                    {2},
                    "`COPY web/ ./` (line 3) was not cached: web/index.ts changed. It made `RUN "
                    "npm ci` run again (41 s). Copy web/package.json and web/package-lock.json "
                    "first, run `npm ci`, and copy the rest behind it to keep that step."},
        RebuildCase{"cd",
                    "FROM node\nWORKDIR /app\nCOPY . .\nRUN cd web && npm ci\n",
                    {"web/index.ts"},
                    {2},
                    "`COPY . .` (line 3) was not cached: web/index.ts changed. It made `RUN cd web "
                    "&& npm ci` run again (41 s). Copy web/package.json and web/package-lock.json "
                    "first, run `npm ci`, and copy the rest behind it to keep that step."},
        RebuildCase{"with_the_build_in_one_run",
                    "FROM node\nCOPY . /app\nWORKDIR /app\nRUN npm ci && npm run build\n",
                    {"src/a.ts"},
                    {},
                    "`COPY . /app` (line 2) was not cached: src/a.ts changed. It made `RUN npm ci "
                    "&& npm run build` run again (41 s). Copy package.json and package-lock.json "
                    "first, run `npm ci` in a RUN of its own, and copy the rest behind it to keep "
                    "that step."},
        RebuildCase{"install_scripts",
                    "FROM node\nWORKDIR /app\nCOPY hooks .\nRUN npm ci\n",
                    {"hooks/a.ts"},
                    {2},
                    ""},
        RebuildCase{"named_packages",
                    "FROM node\nWORKDIR /app\nCOPY . .\nRUN npm install left-pad\n",
                    k_sources,
                    {2},
                    ""},
        RebuildCase{"pip",
                    "FROM python\nWORKDIR /app\nCOPY . .\n"
                    "RUN pip install --no-cache-dir -r requirements.txt\n",
                    {"main.go"},
                    {2},
                    "`COPY . .` (line 3) was not cached: main.go changed. It made `RUN pip install "
                    "--no-cache-dir -r requirements.txt` run again (41 s). Copy requirements.txt "
                    "first, run `pip install --no-cache-dir -r "
                    "requirements.txt`, and copy the rest behind it to keep that step."},
        RebuildCase{"pip_of_the_source",
                    "FROM python\nWORKDIR /app\nCOPY . .\nRUN pip install .\n",
                    {"main.go"},
                    {2},
                    ""},
        RebuildCase{"poetry",
                    "FROM python\nWORKDIR /app\nCOPY . .\nRUN poetry install\n",
                    {".env"},
                    {2},
                    "`COPY . .` (line 3) was not cached: .env changed. It made `RUN poetry "
                    "install` run again (41 s). Copy pyproject.toml and poetry.lock first, run "
                    "`poetry install --no-root`, and copy the rest behind it to keep that step."},
        RebuildCase{"go",
                    "FROM golang AS build\nWORKDIR /src\nCOPY . .\nRUN go mod download\n"
                    "RUN go build ./...\nFROM scratch\nCOPY --from=build /src/app /app\n",
                    {"main.go"},
                    {2},
                    "`COPY . .` (line 3) was not cached: main.go changed. It made `RUN go mod "
                    "download` run again (41 s). Copy go.mod and go.sum first, run `go mod "
                    "download`, and copy the rest behind it to keep that step."},
        RebuildCase{"a_stage_of_a_stage",
                    "FROM node AS base\nWORKDIR /app\nCOPY . .\nFROM base AS deps\nRUN npm ci\n",
                    {"src/a.ts"},
                    {2},
                    "`COPY . .` (line 3) was not cached: src/a.ts changed. It made `RUN npm ci` "
                    "run again (41 s). Copy package.json and package-lock.json first, run `npm "
                    "ci`, and copy the rest behind it to keep that step."},
        RebuildCase{"system_packages",
                    "FROM debian\nWORKDIR /app\nCOPY . .\n"
                    "RUN apt-get update && apt-get install -y curl\n",
                    {"README.md"},
                    {2},
                    "`COPY . .` (line 3) was not cached: README.md changed. It made `RUN apt-get "
                    "update && apt-get install -y curl` run again (41 s). Put `apt-get install -y "
                    "curl` before it to keep that step."},
        RebuildCase{
            "system_packages_of_a_list",
            "FROM debian\nCOPY packages.txt .\nRUN apt-get install -y $(cat packages.txt)\n",
            {"packages.txt"},
            {},
            ""},
        RebuildCase{"a_step_between",
                    "FROM node\nWORKDIR /app\nRUN date >/built\nCOPY . .\nRUN npm ci\n",
                    k_sources,
                    {2},
                    ""},
        RebuildCase{"a_mount_of_the_source",
                    "FROM node\nWORKDIR /app\nCOPY . .\n"
                    "RUN --mount=type=bind,source=src,target=/s npm ci\n",
                    k_sources,
                    {2},
                    ""},
        RebuildCase{"only_the_build",
                    "FROM node\nWORKDIR /app\nCOPY . .\nRUN npm run build\n",
                    k_sources,
                    {2},
                    ""},
        RebuildCase{"yarn_build",
                    "FROM node\nWORKDIR /app\nCOPY . .\nRUN yarn build\n",
                    k_sources,
                    {2},
                    ""},
        RebuildCase{"from_another_stage",
                    "FROM node AS a\nFROM node\nWORKDIR /app\nCOPY --from=a / .\nRUN npm ci\n",
                    k_sources,
                    {3},
                    ""}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Rebuild, OfAShortStepNothingIsSaid) {
  const Dockerfile dockerfile("FROM node\nCOPY . .\nRUN npm ci\n");
  const fakes::MemoryTree tree = project();
  const std::vector<RanStep> steps{{"[2/3] COPY . .", false, 10ms},
                                   {"[3/3] RUN npm ci", false, 5s}};
  EXPECT_EQ(avoidable_rebuild(dockerfile, {steps, {"src/a.ts"}}, tree), std::nullopt);
}

}  // namespace
}  // namespace builder::adapters::buildkit
