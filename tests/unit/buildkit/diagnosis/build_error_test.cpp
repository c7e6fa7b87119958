#include "adapters/buildkit/diagnosis/build_error.hpp"

#include "fakes/characters.hpp"
#include "fakes/memory_tree.hpp"

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
  EXPECT_LE(fakes::characters_of(out.error.customer), k_customer_limit);
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

TEST(BuildError, KeepsTheLastWordsOfAFailedCommandForItsLine) {
  const auto last_words = [](const std::string& output, const std::string& command = "RUN x") {
    FailedSolve solve{.status = {grpc::StatusCode::UNKNOWN,
                                 "executor failed running [/bin/sh -c x]: exit code: 1"},
                      .steps = {{.number = 5,
                                 .digest = "sha256:a",
                                 .name = "[2/2] " + command,
                                 .error = "executor failed running [/bin/sh -c x]: exit code: 1",
                                 .output = output}},
                      .dockerfile = "Dockerfile",
                      .dockerfile_text = "FROM a\n" + command + "\n"};
    const Error error = explain(solve).error;
    // There is room for both.
    EXPECT_LE(
        fakes::characters_of(error.customer) + std::min<std::size_t>(error.last_words.size(), 80),
        k_customer_limit);
    return error.last_words;
  };
  EXPECT_EQ(last_words("a\nError: cannot find module 'x'\n\n"), "Error: cannot find module 'x'");
  EXPECT_EQ(last_words("\x1b[31mred\x1b[0m words\r\n---\n"), "red words");
  EXPECT_EQ(
      last_words("npm ERR! missing script: test\n\nnpm ERR! A complete log of this run can be "
                 "found in:\nnpm ERR!     /root/.npm/_logs/2026-debug-0.log\n"),
      "npm ERR! missing script: test");
  EXPECT_EQ(last_words(""), "");
  EXPECT_EQ(last_words("a\nrunc run failed: unable to start container process: /var/lib/x\n"), "")
      << "the engine's, with the paths of its host";
  EXPECT_EQ(last_words("\n \n"), "");
  EXPECT_EQ(last_words("\x1b[999"), "");
  EXPECT_LE(last_words(std::string(5'000, 'y')).size(), 303U);
  EXPECT_EQ(last_words("the end", "RUN " + std::string(400, 'x')), "the end");
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
            "Dockerfile:2: unknown instruction: FORM; did you mean FROM?");
  EXPECT_EQ(customer({.message = "failed to solve: dockerfile parse error on line 3: unknown "
                                 "flag: --lnik (did you mean link?)",
                      .dockerfile = "FROM a\n\nCOPY --lnik a b\n"}),
            "Dockerfile:3: COPY has no flag --lnik; did you mean --link?");
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
      "Dockerfile:2: the build needs the secret \"tok\", and the service has no variable of that "
      "name");
}

/// What an engine says to a Dockerfile: recorded from Engine 20.10 (`old`) and BuildKit 0.34.
struct Said {
  std::string text;
  std::string step = {};
  std::size_t line = 0;  ///< Of the typed details.
  std::string output = {};
};

struct Fault {
  std::string dockerfile;
  Said old_engine;
  Said buildkit;
  std::string sentence;
};

std::string sentence_of(const Fault& fault, const Said& said,
                        const ports::SourceTree* context = nullptr,
                        const std::string& file = "Dockerfile") {
  google::rpc::Status wire;
  if (said.line != 0) {
    auto* any = wire.add_details();
    any->set_type_url("github.com/moby/buildkit/errdefs.Source+json");
    any->set_value(R"({"ranges":[{"start":{"line":)" + std::to_string(said.line) + "}}]}");
  }
  FailedSolve solve{.status = {grpc::StatusCode::UNKNOWN, said.text, wire.SerializeAsString()},
                    .steps = {},
                    .dockerfile = file,
                    .dockerfile_text = fault.dockerfile,
                    .warnings = {{.line = 2,
                                  .text = "FromAsCasing: 'as' and 'FROM' keywords' casing do not "
                                          "match (line 2)"}},
                    .context = context};
  if (!said.step.empty()) {
    solve.steps.push_back({.number = 5,
                           .digest = "sha256:a",
                           .name = said.step,
                           .error = said.text,
                           .output = said.output});
  }
  const Explanation out = explain(solve);
  EXPECT_EQ(out.error.kind, ErrorKind::build_failed) << out.error.message;
  EXPECT_LE(fakes::characters_of(out.error.customer), k_customer_limit);
  return out.error.customer;
}

void expect_same_sentence(const Fault& fault, const ports::SourceTree* context = nullptr,
                          const std::string& file = "Dockerfile") {
  for (const Said& said : {fault.old_engine, fault.buildkit}) {
    if (!said.text.empty()) {
      EXPECT_EQ(sentence_of(fault, said, context, file), fault.sentence) << said.text;
    }
  }
}

constexpr const char* k_llb =
    "failed to solve with frontend dockerfile.v0: failed to create LLB "
    "definition: ";
constexpr const char* k_new = "failed to solve: ";

TEST(BuildError, BothEnginesSayTheSameOfASyntaxFault) {
  const std::string old_parse = std::string(k_llb) + "dockerfile parse error line ";
  const std::string new_parse = std::string(k_new) + "dockerfile parse error on line ";
  for (const Fault& fault : std::vector<Fault>{
           {"FROM a\nCOPY --parents a b\n",
            {old_parse + "2: Unknown flag: parents"},
            {},
            "Dockerfile:2: the build engine is too old for COPY --parents; begin the file with \"# "
            "syntax=docker/dockerfile:1\" or write it without"},
           {"# syntax=docker/dockerfile:1.2\nFROM a\nHEALTHCHECK --start-interval=5s CMD true\n",
            {old_parse + "3: Unknown flag: start-interval"},
            {},
            "Dockerfile:3: the frontend of line 1 does not know HEALTHCHECK --start-interval; name "
            "a newer one there (docker/dockerfile:1)"},
           {"FROM a\nCOPY --form=x a b\n",
            {old_parse + "2: Unknown flag: form"},
            {new_parse + "2: unknown flag: --form (did you mean from?)", "", 2},
            "Dockerfile:2: COPY has no flag --form; did you mean --from?"},
           {"FROM a\nRUN --bogus echo\n",
            {old_parse + "2: Unknown flag: bogus"},
            {new_parse + "2: unknown flag: --bogus", "", 2},
            "Dockerfile:2: RUN has no flag --bogus"},
           {"FROM a\nRUN --network=host echo\n",
            {old_parse + "2: Unknown flag: network"},
            {"failed to solve: failed to load LLB: network.host is not allowed"},
            "Dockerfile:2: builds here may not use the host's network; remove --network=host"},
           {"FROM a\nRUN true\nRUN --security=insecure echo\n",
            {old_parse + "3: Unknown flag: security"},
            {"failed to solve: failed to load LLB: security.insecure is not allowed"},
            "Dockerfile:3: builds here have no privileges; remove --security=insecure"},
           {"FROM a\nRUN <<EOF\nenv\nEOF\n",
            {old_parse + "3: ENV requires at least one argument"},
            {},
            "Dockerfile:2: the build engine is too old for heredocs (<<); begin the file with \"# "
            "syntax=docker/dockerfile:1\" or write it without"},
           {"FROM a\nRUN echo \"1<<n\"\nSERVICES:\n",
            {old_parse + "3: unknown instruction: SERVICES:"},
            {new_parse + "3: unknown instruction: SERVICES:", "", 3},
            "Dockerfile:3: unknown instruction: SERVICES:"},
           {"FROM a\nRUNN x\n",
            {old_parse + "2: unknown instruction: RUNN"},
            {new_parse + "2: unknown instruction: RUNN (did you mean RUN?)", "", 2},
            "Dockerfile:2: unknown instruction: RUNN; did you mean RUN?"},
           {"FROM a\nRUN x\n  && y\n",
            {old_parse + "3: unknown instruction: &&"},
            {new_parse + "3: unknown instruction: &&", "", 3},
            "Dockerfile:3: unknown instruction: &&; does the line before lack a \\ at its end?"},
           {"FROM a\nRUN --mount=type=tmpfs,target=/x,size=1m true\n",
            {old_parse + "2: unexpected key 'size' in 'size=1m'"},
            {},
            "Dockerfile:2: the build engine is too old for the mount option size=; begin the file "
            "with \"# syntax=docker/dockerfile:1\" or write it without"},
           {"FROM a\nENV W=${V#1.}\n",
            {std::string(k_llb) + "failed to process \"${V#1.}\": missing ':' in substitution"},
            {},
            "Dockerfile:2: the build engine is too old for ${V#1.}; begin the file with \"# "
            "syntax=docker/dockerfile:1\" or write it without"},
           {"FROM a\nENV W=${V\n",
            {std::string(k_llb) + "failed to process \"${V\": missing ':' in substitution"},
            {"failed to solve: failed to process \"${V\": unsupported modifier (\xEF\xBF\xBD) in "
             "substitution",
             "", 2},
            "Dockerfile:2: \"${V\" lacks its closing brace }"},
           {"FROM a\nENV W=${V?must}\n",
            {std::string(k_llb) + "failed to process \"${V?must}\": V: must"},
            {"failed to solve: failed to process \"${V?must}\": V: must", "", 2},
            "Dockerfile:2: failed to process \"${V?must}\": V: must"},
           {"FROM a\nCOPY --from=9 /a /b\n",
            {std::string(k_llb) + "invalid stage index 9"},
            {"failed to solve: invalid stage index 9"},
            "Dockerfile:2: there is no stage 9 to copy from; the stages before this line are "
            "counted from 0"},
           {"ARG S=x\nFROM a\nCOPY --from=$S /a /b\n",
            {std::string(k_llb) + "failed to parse stage name \"$S\": invalid reference format: "
                                  "repository name must be lowercase"},
            {"failed to solve: variable expansion is not supported for --from, define a new stage "
             "with FROM using ARG from global scope as a workaround"},
            "Dockerfile:3: no variable can stand in --from; name a stage there, and let that be "
            "FROM the variable"},
           {"FROM Busy\n",
            {std::string(k_llb) + "failed to parse stage name \"Busy\": invalid reference format: "
                                  "repository name must be lowercase"},
            {"failed to solve: failed to parse stage name \"Busy\": invalid reference format: "
             "repository name (library/Busy) must be lowercase",
             "", 1},
            "Dockerfile:1: \"Busy\" is no name of an image or stage: it has to be in lower case"},
           {"FROM a\nEXPOSE abc\n",
            {std::string(k_llb) + "Invalid containerPort: abc"},
            {"failed to solve: invalid containerPort: abc", "", 2},
            "Dockerfile:2: invalid containerPort: abc"},
           {std::string("\xFF\xFE") + "F",
            {old_parse + "1: unknown instruction: \xFF\xFE"},
            {new_parse + "1: unknown instruction: \xFF\xFE", "", 1},
            "Dockerfile:1: the file is saved as UTF-16; save it as UTF-8"},
           {std::string("F\0R\0O\0M\0", 8),
            {old_parse + "1: unknown instruction: F"},
            {new_parse + "1: unknown instruction: F", "", 1},
            "Dockerfile:1: the file is saved as UTF-16; save it as UTF-8"},
           {"FROM a\nRUN " + std::string(70'000, 'x') + "\n",
            {std::string(k_llb) + "dockerfile line greater than max allowed size of 65535"},
            {"failed to solve: dockerfile line greater than max allowed size of 65535", "", 1},
            "Dockerfile:2: this line is longer than 65,535 bytes; put its content into a file and "
            "COPY it"},
           {"# check=error=true\nFROM a as b\n",
            {},
            {"failed to solve: lint violation found for rules: FromAsCasing"},
            "Dockerfile:2: \"# check=error=true\" makes this an error: FromAsCasing: 'as' and "
            "'FROM' keywords' casing do not match"},
           {"FROM \u2013\u2013platform=linux/amd64 busybox\n",
            {old_parse + "1: FROM requires either one or three arguments"},
            {new_parse + "1: FROM requires either one or three arguments", "", 1},
            "Dockerfile:1: \"\u2013\u2013platform=linux/amd64\" begins with a typographic dash, "
            "not with two plain dashes; type --platform=linux/amd64"},
           {"FROM a\nCOPY --chmod=bogus a /x\n",
            {},
            {"failed to solve: invalid syntax", "", 2},
            "Dockerfile:2: --chmod=bogus is no mode; write it in octal, as in --chmod=755"},
       }) {
    expect_same_sentence(fault);
  }
}

TEST(BuildError, BothEnginesSayTheSameOfAStepThatFails) {
  const std::string ran = "executor failed running [/bin/sh -c x]: ";
  const std::string process = "process \"/bin/sh -c x\" did not complete successfully: ";
  const auto run = [&](const std::string& dockerfile, const std::string& cause,
                       const std::string& output, const std::string& sentence) {
    expect_same_sentence({dockerfile,
                          {ran + cause, "[2/2] RUN x", 0, output},
                          {k_new + process + cause, "[2/2] RUN x", 0, output},
                          sentence});
  };
  run("FROM a\nUSER app\nRUN x\n", "unable to find user app: no matching entries in passwd file",
      "",
      "Dockerfile:3: user \"app\" of line 2 does not exist in the image; create it in a RUN "
      "before, "
      "or use its number");
  run("FROM a\nRUN x\n", "unable to find group app: no matching entries in group file", "",
      "Dockerfile:2: group \"app\" does not exist in the image; create it in a RUN before, or use "
      "its number");
  run("FROM a\nRUN x\n", "exit code: 1",
      "runc run failed: unable to start container process: exec: \"/bin/sh\": stat /bin/sh: no "
      "such "
      "file or directory\n",
      "Dockerfile:2: \"RUN x\" could not start: /bin/sh is not in the image");
  run("FROM a\nRUN x\n", "exit code: 1", "exec /bin/sh: exec format error\n",
      "Dockerfile:2: \"RUN x\" could not start: /bin/sh of the image is not for linux/amd64; use a "
      "base image that is");
  run("FROM --platform=linux/arm64 a\nRUN x\n", "exit code: 1", "exec /bin/sh: exec format error\n",
      "Dockerfile:1: --platform=linux/arm64 makes an image for linux/arm64, and the platform runs "
      "linux/amd64; remove the flag");
  run("FROM a\nRUN x\n", "exit code: 128", "fatal: not a git repository (or any parent)\n",
      "Dockerfile:2: \"RUN x\" failed with exit code 128: a clone's .git is never in the build "
      "here; commit the version as a file");
  run("FROM a\nRUN x\n", "no SSH key \"default\" forwarded from the client", "",
      "Dockerfile:2: builds here have no SSH agent and no SSH keys; take it over https, or commit "
      "it "
      "to the repository");
  EXPECT_EQ(
      sentence_of(
          {"FROM a\nRUN x\n", {}, {}, {}},
          {"failed to prepare h2brkj5jn16h75ybpflgw87kd: max depth exceeded", "[2/2] RUN x"}),
      "Dockerfile:2: the image has more than 125 layers here, which this engine cannot build; "
      "join RUN lines with &&");
}

TEST(BuildError, ATriggerOfTheBaseImageIsToldOnTheFromLine) {
  expect_same_sentence(
      {"FROM base\nRUN echo child\n",
       {"executor failed running [/bin/sh -c echo trigger && exit 4]: exit code: 4",
        "[2/2] RUN echo trigger && exit 4"},
       {"failed to solve: process \"/bin/sh -c echo trigger && exit 4\" did not complete "
        "successfully: exit code: 4",
        "[2/3] ONBUILD RUN echo trigger && exit 4", 1},
       "Dockerfile:1: \"RUN echo trigger && exit 4\" (an ONBUILD of the base image) failed with "
       "exit code 4"});
  fakes::MemoryTree context;
  context.add_file("Dockerfile", "FROM base\nRUN echo child\n");
  expect_same_sentence(
      {"FROM base\nRUN echo child\n",
       {"failed to compute cache key: \"/package.json\" not found: not found",
        "[2/2] COPY package.json /app/"},
       {"failed to solve: failed to compute cache key: failed to calculate checksum of ref "
        "wrnrbcagggxl8n6c337pyr69a::vx0dvc9t4amufwcvf0rc5pfmh: \"/package.json\": not found",
        "[2/3] ONBUILD COPY package.json /app/", 1},
       "Dockerfile:1: \"package.json\" not found in the repository (an ONBUILD of the base image "
       "wants it)"},
      &context);
}

TEST(BuildError, SaysWhyASourceIsNotThere) {
  struct Case {
    std::string source;
    std::string sentence;
    std::string file = "Dockerfile";
  };

  fakes::MemoryTree context;
  context.add_file("README.md", "");
  context.add_file("app/[id]/page.tsx", "");
  context.add_file("dist/x", "");
  context.add_file("a.txt", "");
  context.add_file("apps/web/package.json", "{}");
  context.add_file(".dockerignore", "node_modules\n# build\n/dist\n");
  for (const auto& [source, sentence, file] : std::vector<Case>{
           {"nothing.txt", "\"nothing.txt\" not found in the repository"},
           {"Readme.md",
            "\"Readme.md\" not found in the repository; did you mean \"README.md\"? (case counts)"},
           {"DIST/X",
            "\"DIST/X\" not found in the repository; did you mean \"dist/x\"? (case counts)"},
           {"dist/x", "\"dist/x\" is left out by .dockerignore:3 (\"/dist\")"},
           {"dist/*", "\"dist/*\" is left out by .dockerignore:3 (\"/dist\")"},
           {"a.txt/x", "\"a.txt/x\" not found: \"a.txt\" is a file"},
           {"../x",
            "\"../x\" lies outside the repository; COPY and ADD take files below its root only"},
           {"/home/me/p/a.txt",
            "\"/home/me/p/a.txt\" is a path of another machine; write it from the repository's "
            "root"},
           {"app/[id]/page.tsx",
            "\"app/[id]/page.tsx\" is there, but [ ] * ? \\ make a pattern here; write "
            "app/[[]id]/page.tsx"},
           {".git",
            "\".git\" is never in the build here: a clone's .git is not part of the source; commit "
            "what the build needs of it (a version) as a file"},
           {"\u2013from=app",
            "\"\u2013from=app\" begins with a typographic dash, not with two plain dashes; type "
            "--from=app"},
           {"-from=app",
            "\"-from=app\" begins with one dash, not with two plain dashes; type --from=app"},
           {".env",
            "\".env\" is not in the repository, and the platform writes it only when the service "
            "has variables"},
           {"package.json",
            "\"package.json\" not found: paths count from the repository's root, and it is at "
            "apps/web/package.json",
            "apps/web/Dockerfile"},
       }) {
    const std::string walked = source.starts_with('/') ? source : "/" + source;
    expect_same_sentence(
        {"FROM a\nCOPY " + source + " /x/\n",
         {"failed to compute cache key: failed to walk /d/tmp/buildkit-mount25" + walked +
              ": lstat /d/tmp/buildkit-mount25" + walked + ": no such file or directory",
          "[2/2] COPY " + source + " /x/"},
         {"failed to solve: failed to compute cache key: failed to calculate checksum of ref "
          "wrnrbcagggxl8n6c337pyr69a::vx0dvc9t4amufwcvf0rc5pfmh: \"" +
              walked + "\": not found",
          "[2/2] COPY " + source + " /x/", 2},
         file + ":2: " + sentence},
        &context, file);
  }
}

TEST(BuildError, AMissingUserOfChownIsNoMissingSource) {
  fakes::MemoryTree context;
  context.add_file("a", "");
  EXPECT_EQ(
      sentence_of({"FROM a\nCOPY --chown=app:app a /x\n", {}, {}, {}},
                  {"open /d/overlay2/ea6770db0a3b4ae06859532c9b4e25898752fa5dd51b9/merged/etc/"
                   "passwd: no such file or directory",
                   "[2/2] COPY --chown=app:app a /x"},
                  &context),
      "Dockerfile:2: --chown=app:app: the image has no such user or group; create it in a RUN "
      "before, or use numbers");
}

TEST(BuildError, AScriptThatCannotStartIsLookedAt) {
  fakes::MemoryTree context;
  context.add_file("build.sh", "#!/bin/sh\r\necho\r\n", 0755);
  context.add_file("plain.sh", "#!/bin/sh\n", 0644);
  context.add_file("tools/run.py", "#!/opt/python\n", 0755);
  const auto hint = [&](const std::string& command, int code, const std::string& output) {
    return sentence_of(
        {"FROM a\nRUN " + command + "\n", {}, {}, {}},
        {"executor failed running [/bin/sh -c " + command + "]: exit code: " + std::to_string(code),
         "[2/2] RUN " + command, 0, output},
        &context);
  };
  EXPECT_THAT(
      hint("/app/build.sh", 127, "/bin/sh: /app/build.sh: not found\n"),
      testing::EndsWith("exit code 127: build.sh has Windows line ends (CRLF); save it with LF"));
  EXPECT_THAT(hint("cd /app && ./plain.sh", 126, "/bin/sh: ./plain.sh: Permission denied\n"),
              testing::EndsWith("exit code 126: plain.sh is not executable in the repository (git "
                                "update-index --chmod=+x)"));
  EXPECT_THAT(hint("./run.py", 127, "/bin/sh: ./run.py: not found\n"),
              testing::EndsWith("exit code 127: is /opt/python of its first line in the image?"));
  EXPECT_THAT(hint("./tools/run.py", 1, ""), testing::EndsWith("exit code 1"));
  EXPECT_THAT(hint("nosuch", 127, "/bin/sh: nosuch: not found\n"),
              testing::EndsWith("exit code 127"));
}

TEST(BuildError, AnEnginesOwnTroubleIsNeverTheCustomers) {
  for (
      const Said& said : std::vector<Said>{
          {"executor failed running [/bin/sh -c make]: network bridge not found", "[2/2] RUN make"},
          {"executor failed running [/bin/sh -c make]: failed to create endpoint x on network "
           "bridge: adding interface veth1 to bridge docker0 failed: could not find bridge docker0",
           "[2/2] RUN make"},
          {"failed to solve: process \"/bin/sh -c make\" did not complete successfully: failed to "
           "set up container networking: no bridge",
           "[2/2] RUN make", 2},
          {"executor failed running [/bin/sh -c make]: exit code: 1", "[2/2] RUN make", 0,
           "runc run failed: unable to start container process: unable to apply cgroup "
           "configuration: mkdir /sys/fs/cgroup/x: no space left on device\n"},
          {"failed to solve: write /x/layer: no space left on device", "[2/2] COPY . /app", 2},
          {"failed to copy: failed to send write: write /var/lib/docker/tmp/1: input/output error",
           "[1/2] FROM a"},
          {"failed to solve: failed to dial: dial unix /run/containerd/containerd.sock: connect: "
           "connection refused",
           "[2/2] RUN make"},
          {"failed to solve: error creating overlay mount to /d/overlay2/x/merged: invalid "
           "argument",
           "[2/2] RUN make"}}) {
    FailedSolve solve{.status = {grpc::StatusCode::UNKNOWN, said.text},
                      .steps = {{.number = 1,
                                 .digest = "d",
                                 .name = said.step,
                                 .error = said.text,
                                 .output = said.output}},
                      .dockerfile = "Dockerfile",
                      .dockerfile_text = "FROM a\nRUN make\nCOPY . /app\n"};
    const Explanation explanation = explain(solve);
    EXPECT_EQ(explanation.error.kind, ErrorKind::unavailable) << said.text;
    EXPECT_TRUE(explanation.error.customer.empty()) << explanation.error.customer;
    EXPECT_TRUE(explanation.excerpt.empty());
  }
}

TEST(BuildError, WordsOfTheCustomersAreNoTroubleOfTheEngine) {
  for (const Given& given : std::vector<Given>{
           {.message = "executor failed running [/bin/sh -c echo network bridge not found]: exit "
                       "code: 1",
            .step = "[2/2] RUN echo network bridge not found",
            .dockerfile = "FROM a\nRUN echo network bridge not found\n"},
           {.message = std::string(k_llb) + "dockerfile parse error line 2: unknown instruction: "
                                            "IPTABLES",
            .dockerfile = "FROM a\nIPTABLES\n"},
           {.message = "failed to compute cache key: \"/no space left on device\" not found: not "
                       "found",
            .step = "[2/2] COPY x /",
            .dockerfile = "FROM a\nCOPY x /\n"},
           {.message = "lstat /d/tmp/buildkit-mount25/iptables: no such file or directory",
            .step = "[2/2] COPY iptables/*.x /",
            .dockerfile = "FROM a\nCOPY iptables/*.x /\n"}}) {
    EXPECT_EQ(explained(given).error.kind, ErrorKind::build_failed) << given.message;
  }
}

TEST(BuildError, AnImageForOtherMachinesIsAFailureOnItsLine) {
  const auto line = [](std::string_view text, const std::vector<BuildWarning>& warnings = {},
                       std::string_view architecture = "") {
    const auto error = wrong_platform("Dockerfile", text, warnings, architecture);
    return error ? error->customer : std::string();
  };
  EXPECT_EQ(line("FROM x AS tools\nFROM --platform=linux/arm64 a AS b\nFROM b\n"),
            "Dockerfile:2: --platform=linux/arm64 makes an image for linux/arm64, and the platform "
            "runs linux/amd64; remove the flag");
  const std::vector<BuildWarning> pulled{
      {.line = 1,
       .text = "InvalidBaseImagePlatform: Base image a was pulled with platform \"linux/arm64\", "
               "expected \"linux/amd64\" for current build (line 1)"}};
  EXPECT_THAT(line("FROM a\n", pulled),
              testing::StartsWith("Dockerfile:1: the base image is for linux/arm64"));
  EXPECT_EQ(line("FROM a AS tools\nFROM b\n", pulled), "") << "only tools are copied from it";
  EXPECT_THAT(line("FROM a\n", {}, "arm64"),
              testing::StartsWith("Dockerfile:1: the base image is for linux/arm64"));
  for (const char* fine :
       {"FROM a\n", "FROM --platform=linux/amd64 a\n", "FROM --platform=$BUILDPLATFORM a\n",
        "FROM --platform=linux/arm64 a AS x\nFROM b\nCOPY --from=x /a /a\n",
        "FROM --platform=linux/arm64 scratch\n", "FROM --platform=linux/amd64/v3 a\n",
        "FROM --platform=linux/386 a\n", "FROM --platform=$NOT_KNOWN a\n", ""}) {
    EXPECT_EQ(line(fine, {}, "amd64"), "") << fine;
  }
}

TEST(BuildError, AMissingVariantIsNamedWithWhatIsThere) {
  const auto line = [](const std::string& step, std::vector<std::string> offered) {
    FailedSolve solve{.status = {grpc::StatusCode::UNKNOWN, "a: no match for platform in manifest"},
                      .steps = {{.number = 1,
                                 .digest = "sha256:a",
                                 .name = step,
                                 .error = "a: no match for platform in manifest"}},
                      .dockerfile = "Dockerfile",
                      .dockerfile_text = "FROM b\nFROM a\n"};
    solve.platforms_of = [&](const std::string& image) {
      EXPECT_EQ(image, "docker.io/library/a:latest");
      return offered;
    };
    return explain(solve).error.customer;
  };
  EXPECT_EQ(line("[internal] load metadata for docker.io/library/a:latest",
                 {"linux/arm64", "linux/s390x"}),
            "Dockerfile:2: base image \"docker.io/library/a:latest\" has no variant for "
            "linux/amd64; it is for linux/arm64, linux/s390x");
  EXPECT_EQ(line("[linux/arm/v7 internal] load metadata for docker.io/library/a:latest", {}),
            "Dockerfile:2: base image \"docker.io/library/a:latest\" has no variant for "
            "linux/arm/v7");
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

TEST(BuildError, WhatACommandOrAPathIsCalledIsNoPushAndNoLostEngine) {
  for (const std::string mark : {"failed to push x509:", "failed to push unauthorized",
                                 "failed to push h/x:t: connection refused", "no active session",
                                 "transport is closing", "Stream removed"}) {
    for (const std::string& text :
         {"failed to solve: process \"/bin/sh -c false # " + mark +
              "\" did not complete successfully: exit code: 1",
          "failed to solve: process \"/bin/sh -c echo \\\"" + mark +
              "\\\"; false\" did not complete successfully: exit code: 1",
          "failed to solve: executor failed running [/bin/sh -c false # " + mark +
              "]: exit code: 1",
          "failed to solve: failed to compute cache key: failed to calculate checksum of ref a::b: "
          "\"/" +
              mark + "\": not found"}) {
      const auto explained = explain({.status = grpc::Status(grpc::StatusCode::UNKNOWN, text),
                                      .steps = {},
                                      .dockerfile = "Dockerfile",
                                      .dockerfile_text = "FROM x\nRUN false\n"});
      EXPECT_EQ(explained.push_error, "") << text;
      EXPECT_FALSE(explained.engine_lost) << text;
      EXPECT_EQ(explained.error.kind, ErrorKind::build_failed) << text;
    }
  }
}

TEST(BuildError, SaysThatAnImageBelongsToAnotherService) {
  FailedSolve failed{.status = grpc::Status(
                         grpc::StatusCode::UNKNOWN,
                         "failed to solve: source \"docker-image://h/deployra/x:t\" not allowed "
                         "by policy: action DENY"),
                     .steps = {{.number = 1,
                                .digest = "d",
                                .name = "[internal] load metadata for h/deployra/x:t",
                                .error = "e"}},
                     .dockerfile = "Dockerfile",
                     .dockerfile_text = "FROM h/deployra/x:t\n",
                     .registry = "h"};
  const auto refused = explain(failed);
  EXPECT_EQ(refused.error.kind, ErrorKind::build_failed);
  EXPECT_EQ(refused.error.customer,
            "Dockerfile:1: the image named here belongs to another service of the platform and "
            "cannot be used");
  failed.registry = {};  // A build by hand, into an engine.
  EXPECT_FALSE(explain(failed).error.customer.contains("another service"));
}

}  // namespace

}  // namespace builder::adapters::buildkit
