#include "adapters/buildkit/build_error.hpp"

#include "rpc_status.pb.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::adapters::buildkit {

namespace {

using testing::HasSubstr;
using testing::Not;

struct Given {
  std::string message;
  std::string step = {};
  std::string step_error = {};
  std::string dockerfile = {};
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  std::vector<std::pair<std::string, std::string>> details = {};
};

Explanation explained(const Given& given) {
  google::rpc::Status wire;
  for (const auto& [type, value] : given.details) {
    auto* any = wire.add_details();
    any->set_type_url("github.com/moby/buildkit/" + type + "+json");
    any->set_value(value);
  }
  FailedSolve solve{.status = {given.code, given.message, wire.SerializeAsString()},
                    .steps = {},
                    .dockerfile = "Dockerfile",
                    .dockerfile_text = given.dockerfile};
  if (!given.step.empty()) {
    solve.steps.push_back({.number = 5,
                           .digest = "sha256:a",
                           .name = given.step,
                           .error = given.step_error.empty() ? given.message : given.step_error});
  }
  return explain(solve);
}

std::string customer(const Given& given) {
  const Explanation out = explained(given);
  EXPECT_EQ(out.error.kind, ErrorKind::build_failed) << out.error.message;
  EXPECT_LE(out.error.customer.size(), k_customer_limit);
  return out.error.customer;
}

TEST(BuildError, NamesTheCommandAndExitCodeOfOldEngines) {
  const Given given{.message = "executor failed running [/bin/sh -c npm test]: exit code: 1",
                    .step = "[3/3] RUN npm test",
                    .dockerfile = "FROM a\nCOPY . .\nRUN npm test\nCMD x\n"};
  EXPECT_EQ(customer(given), "Dockerfile:3: \"RUN npm test\" failed with exit code 1");
  EXPECT_THAT(explained(given).excerpt,
              testing::ElementsAre("Step 5 failed: [3/3] RUN npm test", "  1 | FROM a",
                                   "  2 | COPY . .", "> 3 | RUN npm test", "  4 | CMD x"));
}

TEST(BuildError, ReadsTypedDetails) {
  EXPECT_EQ(
      customer({.message = "failed to solve: process \"/bin/sh -c make\" did not complete "
                           "successfully: exit code: 2",
                .step = "[2/2] RUN make",
                .dockerfile = "FROM a\n\nRUN make \\\n  all\n",
                .code = grpc::StatusCode::UNKNOWN,
                .details = {{"errdefs.Source", R"({"info":{"filename":"Dockerfile"},"ranges":[)"
                                               R"({"start":{"line":3},"end":{"line":3}},)"
                                               R"({"start":{"line":4},"end":{"line":4}}]})"},
                            {"gatewayapi.ExitMessage", R"({"Code":2})"},
                            {"stack.Stack", "[1]"},
                            {"errdefs.Vertex", "not json"}}}),
      "Dockerfile:3: \"RUN make all\" failed with exit code 2");
}

TEST(BuildError, SurvivesDetailsOfOtherTypes) {
  const auto out =
      explained({.message = "x",
                 .details = {{"errdefs.Source", R"({"ranges":[{"start":{"line":"a"}},3,null]})"},
                             {"errdefs.Vertex", R"({"digest":5})"},
                             {"gatewayapi.ExitMessage", R"([])"}}});
  EXPECT_EQ(out.error.kind, ErrorKind::build_failed);
}

TEST(BuildError, HintsAtMemoryForKilledCommands) {
  EXPECT_THAT(customer({.message = "executor failed running [x]: exit code: 137",
                        .step = "[2/2] RUN x",
                        .dockerfile = "FROM a\nRUN x\n"}),
              HasSubstr("137 (killed; out of memory?)"));
}

TEST(BuildError, ShortensLongCommands) {
  const std::string command = "RUN " + std::string(500, 'x');
  const std::string line = customer({.message = "executor failed running [x]: exit code: 7",
                                     .step = "[2/2] " + command,
                                     .dockerfile = "FROM a\n" + command + "\n"});
  EXPECT_THAT(line, testing::EndsWith("…\" failed with exit code 7"));
}

TEST(BuildError, PlacesSyntaxErrors) {
  EXPECT_EQ(customer({.message = "failed to solve with frontend dockerfile.v0: failed to create "
                                 "LLB definition: dockerfile parse error line 2: unknown "
                                 "instruction: FORM",
                      .dockerfile = "FROM a\nFORM x\n"}),
            "Dockerfile:2: unknown instruction: FORM");
  EXPECT_EQ(customer({.message = "failed to solve: dockerfile parse error on line 3: unknown "
                                 "flag: link",
                      .dockerfile = "FROM a\n\nCOPY --link a b\n"}),
            "Dockerfile:3: unknown flag: link");
  EXPECT_EQ(customer({.message = "failed to solve with frontend dockerfile.v0: failed to create "
                                 "LLB definition: the Dockerfile cannot be empty"}),
            "Dockerfile has no instructions");
}

TEST(BuildError, NamesAMissingSource) {
  EXPECT_EQ(
      customer({.message = "failed to compute cache key: \"/nosuch.txt\" not found: not found",
                .step = "[2/2] COPY nosuch.txt /",
                .step_error = "\"/nosuch.txt\" not found: not found",
                .dockerfile = "FROM a\nCOPY nosuch.txt /\n"}),
      "Dockerfile:2: \"nosuch.txt\" not found in the repository, or excluded by "
      ".dockerignore");
  EXPECT_THAT(
      customer({.message = "failed to solve: failed to compute cache key: failed to "
                           "calculate checksum of ref x::y: \"/out\": not found",
                .step = "[2/2] COPY --from=b /out /",
                .step_error = "failed to calculate checksum of ref x::y: \"/out\": not found",
                .dockerfile = "FROM a\nCOPY --from=b /out /\n"}),
      HasSubstr("\"out\" not found in the stage or image named by --from"));
}

TEST(BuildError, NamesAMissingBaseImage) {
  const std::string message =
      "failed to solve with frontend dockerfile.v0: failed to create LLB definition: pull access "
      "denied, repository does not exist or may require authorization: server message: "
      "insufficient_scope: authorization failed";
  EXPECT_EQ(customer({.message = message,
                      .step = "[internal] load metadata for docker.io/library/nosuch:1",
                      .step_error = "pull access denied",
                      .dockerfile = "# x\nFROM nosuch:1\n"}),
            "Dockerfile:2: base image \"docker.io/library/nosuch:1\" does not exist or needs a "
            "login");
}

TEST(BuildError, LetsRegistryTroubleBeRetried) {
  for (const std::string text :
       {"dial tcp: lookup r.example on 127.0.0.53:53: no such host", "i/o timeout",
        "unexpected status code [manifests 1]: 503 Service Unavailable",
        "toomanyrequests: You have reached your pull rate limit"}) {
    const auto out = explained({.message = "failed to solve with frontend dockerfile.v0: " + text,
                                .step = "[internal] load metadata for r.example/a:1",
                                .step_error = text,
                                .dockerfile = "FROM r.example/a:1\n"});
    EXPECT_EQ(out.error.kind, ErrorKind::unavailable) << text;
    EXPECT_EQ(out.error.customer,
              "Dockerfile:1: the registry of base image \"r.example/a:1\" could not be reached");
    EXPECT_FALSE(out.engine_lost);
  }
}

TEST(BuildError, NeverTakesACommandsOwnOutputForTrouble) {
  const auto out = explained({.message = "executor failed running [curl x # connection refused i/o "
                                         "timeout]: exit code: 7",
                              .step = "[2/2] RUN curl x"});
  EXPECT_EQ(out.error.kind, ErrorKind::build_failed);
}

TEST(BuildError, NamesAMissingDockerfileWithoutTheEnginesPaths) {
  const std::string message =
      "failed to solve with frontend dockerfile.v0: failed to read dockerfile: open "
      "/var/lib/engine/tmp/buildkit-mount397/Dockerfile: no such file or directory";
  EXPECT_EQ(customer({.message = message}), "Dockerfile was not found in the repository");
  EXPECT_THAT(
      customer({.message = "open /var/lib/engine/tmp/buildkit-mount3/a: permission denied"}),
      Not(HasSubstr("/var/lib")));
}

TEST(BuildError, NamesAMissingSecret) {
  EXPECT_EQ(
      customer({.message = "secret tok not found: not found",
                .step = "[2/2] RUN --mount=type=secret,id=tok,required=true cat x",
                .dockerfile = "FROM a\nRUN --mount=type=secret,id=tok,required=true cat x\n"}),
      "Dockerfile:2: the build needs the secret \"tok\", which is not available");
}

TEST(BuildError, TellsALostEngine) {
  for (const Given& given :
       {Given{.message = "Socket closed", .code = grpc::StatusCode::UNAVAILABLE},
        Given{.message = "context canceled", .code = grpc::StatusCode::CANCELLED},
        Given{.message = "Stream removed", .code = grpc::StatusCode::UNKNOWN},
        Given{.message = "failed to solve: context canceled"},
        // The session, over which the engine reads the source, broke.
        Given{.message = "failed to read dockerfile: rpc error: code = Unavailable desc = Socket "
                         "closed"},
        Given{.message = "failed to read dockerfile: rpc error: code = Unavailable desc = "
                         "connection error: desc = \"transport: Error while dialing only one "
                         "connection allowed\""},
        Given{.message = "rpc error: code = Canceled desc = grpc: the client connection is "
                         "closing"}}) {
    const auto out = explained(given);
    EXPECT_EQ(out.error.kind, ErrorKind::unavailable);
    EXPECT_TRUE(out.engine_lost);
    EXPECT_TRUE(out.error.customer.empty());
  }
}

TEST(BuildError, KeepsTheEnginesFullDiskFromTheCustomer) {
  const auto out = explained({.message = "write /x/layer: no space left on device"});
  EXPECT_EQ(out.error.kind, ErrorKind::unavailable);
  EXPECT_TRUE(out.error.customer.empty());
}

TEST(BuildError, FindsTheLineOfWhatAnOldEngineRefusesBeforeItBuilds) {
  struct Case {
    const char* dockerfile;
    const char* text;
    const char* line;
  };

  for (const auto& [dockerfile, text, line] : {
           Case{"# x\nARG A\nRUN true\n", "no build stage in current context",
                "Dockerfile:3: no build stage in current context"},
           Case{"FROM a AS one\nRUN one\nCOPY --from=one /a /\n",
                "circular dependency detected on stage: one",
                "Dockerfile:3: circular dependency detected on stage: one"},
           Case{"FROM a\nADD http://h:1/x /\n",
                "Get \"http://h:1/x\": dial tcp h:1: connect: connection refused",
                "Dockerfile:2: a server this step needs could not be reached"},
           Case{"ARG A\nFROM b\nFROM ${A} AS x\n", "base name (${A}) should not be blank",
                "Dockerfile:3: base name (${A}) should not be blank"},
       }) {
    EXPECT_EQ(explain({.status = grpc::Status(grpc::StatusCode::UNKNOWN, text),
                       .steps = {},
                       .dockerfile = "Dockerfile",
                       .dockerfile_text = dockerfile})
                  .error.customer,
              line);
  }
}

TEST(BuildError, TellsAPushFromABuild) {
  const auto pushed = explain(
      {.status = grpc::Status(grpc::StatusCode::UNKNOWN,
                              "failed to solve: failed to push h/x:t: unknown: The repository with "
                              "name 'x' does not exist in the registry"),
       .steps = {{.number = 3, .digest = "d", .name = "exporting to image", .error = "e"}},
       .dockerfile = "Dockerfile",
       .dockerfile_text = "FROM x\n"});
  EXPECT_TRUE(pushed.push_error.starts_with("failed to push h/x:t: unknown"));
  EXPECT_TRUE(pushed.excerpt.empty());
  EXPECT_FALSE(pushed.engine_lost);
}

TEST(BuildError, SaysThatAnImageBelongsToAnotherService) {
  const auto refused =
      explain({.status = grpc::Status(
                   grpc::StatusCode::UNKNOWN,
                   "failed to solve: source \"docker-image://h/deployra/x:t\" not allowed "
                   "by policy: action DENY"),
               .steps = {{.number = 1,
                          .digest = "d",
                          .name = "[internal] load metadata for h/deployra/x:t",
                          .error = "e"}},
               .dockerfile = "Dockerfile",
               .dockerfile_text = "FROM h/deployra/x:t\n"});
  EXPECT_EQ(refused.error.kind, ErrorKind::build_failed);
  EXPECT_EQ(refused.error.customer,
            "Dockerfile:1: the image named here belongs to another service of the platform and "
            "cannot be used");
}

}  // namespace

}  // namespace builder::adapters::buildkit
