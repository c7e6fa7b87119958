#include "domain/buildpacks/build_file.hpp"
#include "domain/buildpacks/lifecycle_exit.hpp"
#include "domain/buildpacks/lifecycle_output.hpp"
#include "domain/buildpacks/result.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace builder::domain::buildpacks {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

BuildFileSpec spec(bool trusted) {
  return {.builder = "registry.example/b@sha256:00",
          .image = "registry.example/deployra/s1:d1",
          .lifecycle = "acme/lifecycle:0.20.11",
          .trusted = trusted,
          .user_id = 1001,
          .group_id = 1002};
}

TEST(BuildFile, OfATrustedBuilderIsOneStepAsRoot) {
  auto trusted = spec(true);
  trusted.bindings = {{.binding = "npm", .key = ".npmrc", .secret_id = "binding-0"}};
  const std::string text = write_build_file(trusted);
  EXPECT_THAT(text, HasSubstr("FROM registry.example/b@sha256:00 AS cnb\nUSER 0:0\n"));
  EXPECT_THAT(text, HasSubstr("COPY --chown=1001:1002 app/ /workspace/\n"));
  EXPECT_THAT(text, HasSubstr("--mount=type=cache,id=buildpacks,target=/cnb-cache,sharing=locked"));
  EXPECT_THAT(text, HasSubstr("target=/platform/bindings/npm/.npmrc,required=true,uid=1001,"
                              "gid=1002,mode=0400"));
  EXPECT_THAT(text, HasSubstr("[\"/bin/sh\", \"/cnb-platform/create\", "
                              "\"registry.example/deployra/s1:d1\"]"));
  EXPECT_THAT(text, Not(HasSubstr("syntax=")));
}

TEST(BuildFile, EmptiesTheCacheOnRequestBeforeAnythingReadsIt) {
  for (const bool trusted : {true, false}) {
    auto wanted = spec(trusted);
    EXPECT_THAT(write_build_file(wanted), Not(HasSubstr("rm -rf")));
    wanted.empty_cache = true;
    const std::string text = write_build_file(wanted);
    const auto emptied = text.find("rm -rf /cnb-cache/*");
    ASSERT_NE(emptied, std::string::npos);
    EXPECT_LT(text.find("USER 0:0"), emptied);
    EXPECT_LT(text.find("ARG CNB_BUILD_NONCE"), emptied);
    EXPECT_LT(emptied, text.find(trusted ? "/cnb-platform/create" : "/cnb/lifecycle/restorer"));
  }
}

/// The stages of a Dockerfile, by name.
std::map<std::string, std::string> stages_of(const std::string& text) {
  std::map<std::string, std::string> stages;
  std::string* current = nullptr;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("FROM ")) {
      const auto as = line.find(" AS ");
      current = &stages[as == std::string::npos ? "" : line.substr(as + 4)];
    }
    *current += line + "\n";
  }
  return stages;
}

TEST(BuildFile, OfAnUntrustedBuilderGivesTheLoginToTheLifecycleImageOnly) {
  const auto stages = stages_of(write_build_file(spec(false)));
  for (const char* stage : {"analyzed", "restored", "exported"}) {
    EXPECT_THAT(stages.at(stage), HasSubstr("FROM lifecycle "));
    EXPECT_THAT(stages.at(stage), HasSubstr("id=cnb-login"));
  }
  for (const char* stage : {"source", "detected", "built"}) {
    EXPECT_THAT(stages.at(stage), Not(HasSubstr("type=secret"))) << stage;
  }
  EXPECT_THAT(stages.at("detected"), HasSubstr("USER 1001:1002"));
  EXPECT_THAT(stages.at("built"), HasSubstr("USER 1001:1002"));
}

TEST(BuildFile, GivesTheEnginesSocketToTheLifecycleAloneAndOnlyWhereTheImageGoesThere) {
  const std::string mount = "--mount=type=ssh,id=" + std::string(k_engine_socket) + ",";
  for (const bool trusted : {true, false}) {
    auto wanted = spec(trusted);
    EXPECT_THAT(write_build_file(wanted),
                AllOf(Not(HasSubstr("type=ssh")), Not(HasSubstr("DAEMON"))));
    wanted.to_engine = true;
    auto stages = stages_of(write_build_file(wanted));
    for (const char* stage :
         trusted ? std::vector{"cnb"} : std::vector{"analyzed", "restored", "exported"}) {
      EXPECT_THAT(stages.at(stage), AllOf(HasSubstr(mount), HasSubstr("uid=0,gid=0,mode=0600"),
                                          HasSubstr("CNB_USE_DAEMON=true")));
      stages.erase(stage);
    }
    for (const auto& [name, stage] : stages) {
      EXPECT_THAT(stage, Not(HasSubstr("type=ssh"))) << name;
    }
  }
}

TEST(BuildFile, EveryStageWithAStepHasTheNonce) {
  for (const bool trusted : {true, false}) {
    for (const auto& [name, stage] : stages_of(write_build_file(spec(trusted)))) {
      if (stage.contains("\nRUN ")) {
        EXPECT_LT(stage.find("ARG CNB_BUILD_NONCE"), stage.find("\nRUN ")) << name;
      }
    }
  }
}

TEST(BuildFile, ArgumentsLeaveOutWhatIsNotSaid) {
  EXPECT_THAT(build_arguments({.platform_api = {0, 13}, .nonce = "n"}), SizeIs(2));
  const auto all = build_arguments({.platform_api = {0, 12},
                                    .nonce = "n",
                                    .previous_image = "a@sha256:1",
                                    .run_image = "r; touch /x",
                                    .skip_restore = true});
  EXPECT_EQ(all.at("CNB_PLATFORM_API"), "0.12");
  EXPECT_EQ(all.at("CNB_RUN_IMAGE"), "r; touch /x");
  EXPECT_EQ(all.at("CNB_SKIP_RESTORE"), "true");
}

TEST(BuildFile, MetadataQuotesWhatStrangersWrote) {
  EXPECT_EQ(write_project_metadata("https://x/\"a\\\n", "c0"),
            "[source]\ntype = \"git\"\n[source.version]\ncommit = \"c0\"\n[source.metadata]\n"
            "repository = \"https://x/\\\"a\\\\\\u000a\"\n");
  EXPECT_EQ(write_run_toml("r"), "[[images]]\nimage = \"r\"\n");
  EXPECT_EQ(write_stack_toml("r"), "[run-image]\nimage = \"r\"\n");
}

TEST(LifecycleOutput, TellsPhasesAndBuildpacks) {
  LifecycleReader reader;
  EXPECT_EQ(reader.read("Starting creator...").kind, LineKind::chatter);
  EXPECT_EQ(reader.read("===> DETECTING").name, "DETECTING");
  EXPECT_EQ(reader.read("pass: acme/node@1.2.3").kind, LineKind::detection);
  EXPECT_EQ(reader.read("Resolving plan... (try #1)").kind, LineKind::detection);
  EXPECT_EQ(reader.read("1 of 2 buildpacks participating").kind, LineKind::plain);
  EXPECT_EQ(reader.read("acme/node   1.2.3").kind, LineKind::plain);
  EXPECT_EQ(reader.read("Timer: Detector ran for 5ms").kind, LineKind::chatter);
  EXPECT_THAT(reader.trace().taking_part, ElementsAre(Buildpack{"acme/node", "1.2.3"}));

  EXPECT_EQ(reader.read("\x1b[36m===> BUILDING\x1b[0m").name, "BUILDING");
  const auto begins = reader.read("Running build for buildpack acme/node@1.2.3");
  EXPECT_EQ(begins.kind, LineKind::buildpack_begins);
  EXPECT_EQ(begins.name, "acme/node 1.2.3");
  EXPECT_EQ(reader.read("Running build command").kind, LineKind::chatter);
  EXPECT_EQ(reader.read("Timer: of the buildpack's own").kind, LineKind::plain);
  EXPECT_EQ(reader.read("===> EXPORTING").kind, LineKind::plain);
  EXPECT_EQ(reader.read("").kind, LineKind::plain);
  EXPECT_EQ(reader.trace().phase, "BUILDING");
  EXPECT_EQ(reader.read("Processing layers").kind, LineKind::chatter);
  EXPECT_EQ(reader.read("Finished running build for buildpack acme/node@1.2.3").kind,
            LineKind::buildpack_ends);
  EXPECT_EQ(reader.trace().building, "");
  EXPECT_EQ(reader.read("===> EXPORTING").name, "EXPORTING");
  EXPECT_EQ(reader.read("Adding layer 'acme/node:modules'").kind, LineKind::plain);
  EXPECT_EQ(reader.read("Layer 'x' SHA: sha256:0").kind, LineKind::chatter);
}

TEST(LifecycleOutput, KeepsWhatFailed) {
  LifecycleReader reader;
  reader.read("===> DETECTING");
  reader.read("err:  acme/node@1.0.0 (7)");
  reader.read("ERROR: No buildpack groups passed detection.");
  EXPECT_THAT(reader.trace().failed_detect, ElementsAre(Buildpack{"acme/node", "1.0.0"}));
  EXPECT_THAT(reader.trace().errors, ElementsAre("No buildpack groups passed detection."));

  LifecycleReader other;
  other.read("===> BUILDING");
  other.read("Running build for buildpack acme/node@1.0.0");
  other.read("Running build command");
  other.read("ERROR: of the buildpack's own");
  other.read("ERROR: failed to build: exit status 9");
  EXPECT_EQ(other.trace().building, "acme/node 1.0.0");
  EXPECT_THAT(other.trace().errors, ElementsAre("failed to build: exit status 9"));
}

TEST(LifecycleOutput, IsBounded) {
  LifecycleReader reader;
  for (int i = 0; i < 10'000; ++i) {
    reader.read("ERROR: " + std::string(10'000, 'x'));
  }
  reader.read("ERROR: the last word");
  EXPECT_THAT(reader.trace().errors, SizeIs(20));
  EXPECT_LE(reader.trace().errors.front().size(), 1'000U);
  EXPECT_EQ(reader.trace().errors.back(), "the last word");
  reader.read("\x1b[");
  reader.read("\x1b");
  reader.read(std::string("\0\xff", 2));
}

TEST(LifecycleExit, EveryCodeHasALineThatFits) {
  BuildTrace trace{.phase = "BUILDING",
                   .failed_detect = {{std::string(300, 'i'), "1"}},
                   .building = std::string(300, 'b'),
                   .errors = {std::string(2'000, 'e') + "process type"}};
  for (int code = 0; code < 260; ++code) {
    const auto failed = explain_exit(code, trace);
    EXPECT_FALSE(failed.error.customer.empty()) << code;
    // The platform's column counts characters.
    EXPECT_LE(
        std::ranges::count_if(failed.error.customer, [](char c) { return (c & 0xC0) != 0x80; }),
        191)
        << code;
  }
}

TEST(LifecycleExit, SaysWhoseFaultItIs) {
  const BuildTrace trace{.phase = "BUILDING", .building = "acme/node 1.0"};
  EXPECT_EQ(explain_exit(20, {}).error.kind, ErrorKind::build_failed);
  EXPECT_THAT(explain_exit(20, {}).error.customer, HasSubstr("Dockerfile"));
  EXPECT_THAT(explain_exit(21, {.failed_detect = {{"acme/node", "1"}}}).error.customer,
              HasSubstr("acme/node 1"));
  EXPECT_THAT(explain_exit(51, trace).error.customer, HasSubstr("acme/node 1.0"));
  EXPECT_THAT(explain_exit(137, trace).error.customer, HasSubstr("memory"));
  EXPECT_EQ(explain_exit(1, {}).remedy, Remedy::registry);
  EXPECT_EQ(explain_exit(62, {}).remedy, Remedy::registry);
  EXPECT_EQ(explain_exit(62, {.errors = {"process type web not present"}}).remedy, Remedy::none);
  EXPECT_EQ(explain_exit(1, trace).remedy, Remedy::none) << "no registry is spoken to there";
  EXPECT_EQ(explain_exit(62, {.errors = {"failed to build: x509: registry", "disk"}}).last_word,
            "disk");
  EXPECT_EQ(explain_exit(32, {}).remedy, Remedy::without_cache);
  for (const int code : {1, 62}) {
    const auto broken = explain_exit(
        code, {.errors = {"failed to create volume cache: mkdir /cnb-cache/x: permission denied"}});
    EXPECT_EQ(broken.remedy, Remedy::without_cache);
    EXPECT_THAT(broken.error.customer, Not(HasSubstr("registry")));
  }
  EXPECT_EQ(explain_exit(42, {}).remedy, Remedy::without_cache);
  EXPECT_EQ(explain_exit(11, {}).remedy, Remedy::other_api);
  EXPECT_EQ(explain_exit(3, {}).error.kind, ErrorKind::internal);
}

TEST(LifecycleResult, IsReadFromItsFiles) {
  EXPECT_EQ(read_report("[image]\ntags = ['a']\ndigest = 'sha256:00'\n").value(), "sha256:00");
  EXPECT_FALSE(read_report("[image]\n"));
  EXPECT_FALSE(read_report("[["));
  EXPECT_THAT(read_group("[[group]]\nid = 'acme/node'\nversion = '1'\napi = '0.10'\n"),
              ElementsAre(Buildpack{"acme/node", "1"}));
  EXPECT_THAT(read_group("group = 5"), IsEmpty());
  EXPECT_THAT(read_group("[[group]]\nid = \"a\\u001b[2J\"\n"), ElementsAre(Buildpack{"a", ""}));
}

TEST(LifecycleResult, NamesTheDefaultProcessFirst) {
  const std::string config =
      R"({"config":{"Entrypoint":["/cnb/process/worker"],"Labels":{"io.buildpacks.build.metadata":)"
      R"("{\"processes\":[{\"type\":\"web\"},{\"type\":\"worker\"},{\"type\":3}]}"}}})";
  EXPECT_THAT(read_processes(config), ElementsAre("worker", "web"));
  EXPECT_THAT(read_processes("{}"), IsEmpty());
  EXPECT_THAT(read_processes("\xff"), IsEmpty());
}

TEST(LifecycleResult, TellsWhatTheLifecycleWroteAboutTheImage) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const auto config = [](const std::string& metadata) {
    std::string label;
    for (const char c : metadata) {
      label += c == '"' ? std::string("\\\"") : std::string(1, c);
    }
    return R"({"config":{"Labels":{"io.buildpacks.lifecycle.metadata":")" + label +
           R"("}},"rootfs":{"diff_ids":["sha256:1","sha256:2"]}})";
  };
  EXPECT_EQ(sbom_layer(config(R"({"sbom":{"sha":"sha256:2"}})")), 1u);
  for (const std::string& none :
       {config(R"({"sbom":{"sha":"sha256:3"}})"), config("{}"), config(R"({"sbom":{"sha":""}})"),
        config(R"({"sbom":[]})"), std::string("{}"), std::string("\xff")}) {
    EXPECT_EQ(sbom_layer(none), std::nullopt);
    EXPECT_EQ(read_run_image(none), std::nullopt);
  }
  const auto run = [&](const std::string& reference) {
    return read_run_image(config(R"({"runImage":{"reference":")" + reference + R"("}})"))
        .value_or(BaseImage());
  };
  EXPECT_EQ(run("index.docker.io/p/run@" + digest), (BaseImage{"docker.io/p/run", digest}));
  EXPECT_EQ(run("localhost:5000/run@" + digest), (BaseImage{"localhost:5000/run", digest}));
  EXPECT_EQ(run("r.io/run:1"), BaseImage());
  EXPECT_EQ(run("r.io/run@sha256:short"), BaseImage());
}

}  // namespace
}  // namespace builder::domain::buildpacks
