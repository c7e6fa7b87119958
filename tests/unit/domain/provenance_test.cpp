#include "domain/provenance.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace builder::domain {
namespace {

using nlohmann::json;

Provenance made() {
  return {.builder_id = "https://builds.example.com",
          .builder_version = "1.2.3",
          .deployment = "d1",
          .image = "registry.example.com/deployra/s1",
          .digest = "sha256:aa",
          .source = "https://github.com/o/r.git",
          .branch = "main",
          .commit = "0123456789abcdef0123456789abcdef01234567",
          .way = MadeFromDockerfile{.dockerfile = "web/Dockerfile",
                                    .target = "web",
                                    .platform = "linux/amd64",
                                    .arguments = {"VERSION"},
                                    .variables = {"TOKEN"}},
          .bases = {{"docker.io/library/node:22", "sha256:bb"},
                    {"ghcr.io:5000/o/base", "sha256:cc"},
                    {"docker.io/o/unknown:1", ""}},
          .has_all_bases = true,
          .started_at = std::chrono::sys_days(std::chrono::year(2026) / 1 / 2),
          .finished_at =
              std::chrono::sys_days(std::chrono::year(2026) / 1 / 2) + std::chrono::seconds(3)};
}

TEST(Provenance, SaysWhatWasBuiltAndHow) {
  EXPECT_EQ(json::parse(provenance_statement(made())), json::parse(R"({
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "registry.example.com/deployra/s1", "digest": {"sha256": "aa"}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
      "buildDefinition": {
        "buildType":
          "https://github.com/deployra/deployra-builder/blob/main/docs/provenance.md#dockerfile-v1",
        "externalParameters": {
          "source": {"repository": "https://github.com/o/r.git", "branch": "main",
                     "commit": "0123456789abcdef0123456789abcdef01234567"},
          "dockerfile": "web/Dockerfile", "target": "web", "platform": "linux/amd64",
          "arguments": ["VERSION"], "variables": ["TOKEN"]},
        "internalParameters": {"allBaseImages": true},
        "resolvedDependencies": [
          {"uri": "git+https://github.com/o/r.git@refs/heads/main",
           "digest": {"gitCommit": "0123456789abcdef0123456789abcdef01234567"}},
          {"uri": "pkg:docker/node@22", "digest": {"sha256": "bb"}},
          {"uri": "pkg:docker/ghcr.io:5000/o/base", "digest": {"sha256": "cc"}},
          {"uri": "pkg:docker/o/unknown@1"}]},
      "runDetails": {
        "builder": {"id": "https://builds.example.com", "version": {"deployra-builder": "1.2.3"}},
        "metadata": {"invocationId": "d1", "startedOn": "2026-01-02T00:00:00.000Z",
                     "finishedOn": "2026-01-02T00:00:03.000Z"}}}})"));
}

TEST(Provenance, TellsDownloadsOnlyWhereTheyWereRecorded) {
  const auto definition_of = [](const Provenance& provenance) {
    return json::parse(provenance_statement(provenance))["predicate"]["buildDefinition"];
  };
  Provenance provenance = made();
  EXPECT_FALSE(definition_of(provenance)["internalParameters"].contains("downloads"));
  const std::size_t before = definition_of(provenance)["resolvedDependencies"].size();
  provenance.downloads = {.files = {{"https://e.test/a", "sha256:dd"}}, .are_all = true};
  const auto definition = definition_of(provenance);
  EXPECT_EQ(definition["internalParameters"]["downloads"], "complete");
  ASSERT_EQ(definition["resolvedDependencies"].size(), before + 1);
  EXPECT_EQ(definition["resolvedDependencies"].back(),
            json::parse(R"({"uri": "https://e.test/a", "digest": {"sha256": "dd"}})"));
  provenance.downloads = Downloads();
  EXPECT_EQ(definition_of(provenance)["internalParameters"]["downloads"], "partial");
  EXPECT_EQ(definition_of(provenance)["resolvedDependencies"].size(), before);
}

TEST(Provenance, OfBuildpacksNamesThem) {
  Provenance provenance = made();
  provenance.branch.clear();
  provenance.way = MadeWithBuildpacks{.builder = "example.com/builder:1",
                                      .platform = "linux/amd64",
                                      .buildpacks = {"node 1.0"},
                                      .variables = {"BP_X"}};
  provenance.bases.clear();
  provenance.has_all_bases = false;
  const auto definition =
      json::parse(provenance_statement(provenance))["predicate"]["buildDefinition"];
  EXPECT_TRUE(definition["buildType"].get<std::string>().ends_with("#buildpacks-v1"));
  EXPECT_EQ(definition["externalParameters"],
            json::parse(R"({"builder": "example.com/builder:1", "platform": "linux/amd64",
                            "variables": ["BP_X"],
                            "source": {"repository": "https://github.com/o/r.git",
                                       "commit": "0123456789abcdef0123456789abcdef01234567"}})"));
  EXPECT_EQ(definition["internalParameters"],
            json::parse(R"({"allBaseImages": false, "buildpacks": ["node 1.0"]})"));
  EXPECT_EQ(definition["resolvedDependencies"][0]["uri"], "git+https://github.com/o/r.git");
  EXPECT_EQ(definition["resolvedDependencies"].size(), 1u);
}

TEST(Provenance, ASignatureIsAStatementThatSaysNothing) {
  EXPECT_EQ(json::parse(signature_statement("sha256:aa")), json::parse(R"({
    "_type": "https://in-toto.io/Statement/v1", "subject": [{"digest": {"sha256": "aa"}}],
    "predicateType": "https://sigstore.dev/cosign/sign/v1", "predicate": {}})"));
}

}  // namespace
}  // namespace builder::domain
