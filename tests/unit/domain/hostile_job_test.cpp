// Jobs and their strings as a stranger would write them: nothing crashes, and what is accepted is
// harmless.
#include "domain/deployment_request.hpp"
#include "domain/dotenv.hpp"
#include "domain/request_secrets.hpp"
#include "domain/source_spec.hpp"
#include "fakes/random_text.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace builder::domain {
namespace {

constexpr const char* k_job =
    R"({"deploymentId":"d0exampleexample0002","serviceId":"s0example","commitSha":"0123456789abcdef",
"branch":"feature/x","repositoryName":"team/app","runtimeFilePath":"docker/Dockerfile","gitProvider":
{"type":"CUSTOM","url":"https://git.example.test/git","username":"us er@x","password":"p@ss:w/rd%"},
"environmentVariables":[{"key":"QUOTES","value":"a \"b\" 'c' $HOME \\n"},{"key":"M","value":"l1\nl2\n"}],
"ports":[{"servicePort":5000,"containerPort":5001}]})";

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c != 0x7F; });
}

TEST(HostileJob, AnyDamageIsRefusedOrReadAndNeverUsedUnchecked) {
  fakes::RandomText random(21, {"null",
                                "\"",
                                "{",
                                "}",
                                "[",
                                "]",
                                "-1",
                                "1e999",
                                "\\u0000",
                                "\\ud800",
                                "\\",
                                "true",
                                ",",
                                ":",
                                "65536",
                                "\"deploymentId\":\"../x\",",
                                "{}",
                                "\xFF",
                                std::string(3'000, 'x'),
                                std::string(70, '['),
                                "\n"});
  int accepted = 0;
  for (int round = 0; round < 6'000; ++round) {
    const std::string text = random.damage(k_job);
    const ParsedJob job = parse_job(text);
    if (!job.request) {
      EXPECT_FALSE(job.request.error().message.empty());
      EXPECT_LE(job.request.error().customer.size(), 191u) << text;
      continue;
    }
    ++accepted;
    EXPECT_TRUE(is_plain(job.request->deployment_id.str()));
    EXPECT_EQ(job.request->deployment_id.str().find_first_of("/?#.%"), std::string::npos);
    const auto spec = resolve_source(*job.request, "https://github.com");
    if (!spec) {
      EXPECT_LE(spec.error().customer.size(), 191u) << text;
    }
    const DotenvFile dotenv = write_dotenv(job.request->environment);
    EXPECT_EQ(std::ranges::count(dotenv.content, '\n'), static_cast<long>(dotenv.written));
    for (const NamedSecret& secret : secrets_of(*job.request)) {
      EXPECT_FALSE(secret.name.empty());
    }
  }
  EXPECT_GT(accepted, 500) << "the damage is too heavy to test what follows";
}

TEST(HostileJob, WhatBecomesAnArgumentIsNeverAnOptionNorLeavesItsPlace) {
  fakes::RandomText random(
      22,
      {"a",       "main",  "-",  "--",       "/",       ".",      "..",         ".git",  ".lock",
       "@",       "@{",    "~",  "^",        ":",       "?",      "*",          "[",     "\\",
       " ",       "\n",    "\t", "\x7f",     "é",       "\xff",   "$(x)",       ";",     "0",
       "abcdef0", "%2e",   "#",  "https://", "http://", "h.test", "user:pass@", ":8443", "file://",
       "ext::sh", "[::1]", "'",  "\"",       "="});
  int accepted = 0;
  for (int round = 0; round < 30'000; ++round) {
    DeploymentRequest request;
    request.service_id = ServiceId("s");
    request.branch = random.below(2) == 0 ? "main" : random.make(6);
    request.commit_sha = random.below(2) == 0 ? "" : random.make(4);
    request.repository_name = random.below(2) == 0 ? "owner/app" : random.make(6);
    request.git_provider = GitProvider{};
    request.git_provider->type = GitProviderType::custom;
    request.git_provider->url =
        random.below(2) == 0 ? "https://h.test" : "https://" + random.make(5);
    const auto spec = resolve_source(request, "https://github.com");
    if (!spec) {
      ASSERT_FALSE(spec.error().customer.empty());
      ASSERT_LE(spec.error().customer.size(), 191u);
      ASSERT_TRUE(std::ranges::all_of(spec.error().customer,
                                      [](unsigned char c) { return c >= 0x20 && c != 0x7F; }));
      continue;
    }
    ++accepted;
    ASSERT_FALSE(spec->branch.starts_with('-') || spec->branch.contains("..")) << spec->branch;
    ASSERT_TRUE(is_plain(spec->branch)) << spec->branch;
    ASSERT_TRUE(
        std::ranges::all_of(spec->commit, [](unsigned char c) { return std::isxdigit(c) != 0; }));
    ASSERT_TRUE(spec->url.starts_with("https://")) << spec->url;
    ASSERT_TRUE(spec->url.ends_with(".git")) << spec->url;
    ASSERT_FALSE(spec->url.contains("/../") || spec->url.contains("@") || spec->url.contains("/-"))
        << spec->url;
    ASSERT_TRUE(spec->url.find_first_of(" \t\n\"'\\$;#?*") == std::string::npos) << spec->url;
  }
  EXPECT_GT(accepted, 1'000);
}

}  // namespace
}  // namespace builder::domain
