#include "domain/source_spec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace builder::domain {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* k_github = "https://github.com";

DeploymentRequest github_request() {
  DeploymentRequest request;
  request.service_id = ServiceId("s0exampleexample0001");
  request.branch = "main";
  request.repository_name = "octo/hello";
  request.git_provider = GitProvider{.type = GitProviderType::github,
                                     .url = "",
                                     .username = "octo",
                                     .password = Secret("gho_example")};
  return request;
}

DeploymentRequest custom_request(std::string url, std::string repository = "team/app") {
  DeploymentRequest request;
  request.branch = "feature/x";
  request.commit_sha = "0123456789abcdef0123456789abcdef01234567";
  request.repository_name = std::move(repository);
  request.git_provider = GitProvider{.type = GitProviderType::custom,
                                     .url = std::move(url),
                                     .username = "us er@x",
                                     .password = Secret("p@ss:w/rd%")};
  return request;
}

/// Every refusal says what is wrong in one line the platform can store.
void expect_refused(const DeploymentRequest& request, std::string_view field) {
  const auto spec = resolve_source(request, k_github);
  ASSERT_FALSE(spec) << spec->url << ' ' << spec->branch << ' ' << spec->commit;
  EXPECT_EQ(spec.error().kind, ErrorKind::invalid_input);
  EXPECT_THAT(spec.error().customer, HasSubstr(field));
  EXPECT_LE(spec.error().customer.size(), 191U);
  for (const char c : spec.error().customer) {
    EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7F);
  }
}

TEST(ResolveSource, GitHubWithAnAccount) {
  const auto spec = resolve_source(github_request(), k_github);
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->url, "https://github.com/octo/hello.git");
  EXPECT_EQ(spec->username, "octo");
  EXPECT_EQ(spec->password.reveal(), "gho_example");
  EXPECT_EQ(spec->branch, "main");
  EXPECT_EQ(spec->commit, "");
  EXPECT_EQ(spec->service_id.str(), "s0exampleexample0001");
}

TEST(ResolveSource, GitHubTokenWithoutAUser) {
  DeploymentRequest request = github_request();
  request.git_provider->username.clear();
  EXPECT_EQ(resolve_source(request, k_github)->username, "x-access-token");
}

TEST(ResolveSource, NoProviderIsGitHubWithoutCredentials) {
  DeploymentRequest request = github_request();
  request.git_provider.reset();
  const auto spec = resolve_source(request, k_github);
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->url, "https://github.com/octo/hello.git");
  EXPECT_TRUE(spec->username.empty());
  EXPECT_TRUE(spec->password.empty());
}

TEST(ResolveSource, CustomProvider) {
  const auto spec = resolve_source(custom_request("https://git.example.test/git"), k_github);
  ASSERT_TRUE(spec);
  EXPECT_EQ(spec->url, "https://git.example.test/git/team/app.git");
  EXPECT_EQ(spec->username, "us er@x");
  EXPECT_EQ(spec->password.reveal(), "p@ss:w/rd%");
  EXPECT_EQ(spec->branch, "feature/x");
  EXPECT_EQ(spec->commit, "0123456789abcdef0123456789abcdef01234567");
}

TEST(ResolveSource, CustomUrlsThatAreTakenAndTheirForm) {
  const std::pair<const char*, const char*> table[] = {
      {"https://git.example.test", "https://git.example.test/team/app.git"},
      {"https://git.example.test/", "https://git.example.test/team/app.git"},
      {"https://git.example.test/git///", "https://git.example.test/git/team/app.git"},
      {" https://git.example.test/git ", "https://git.example.test/git/team/app.git"},
      {"HTTPS://Git.Example.Test/Git", "https://git.example.test/Git/team/app.git"},
      {"http://10.0.0.1:3000", "http://10.0.0.1:3000/team/app.git"},
      {"https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x/team/app.git"},
      {"https://dev.example.test/My%20Project/_git",
       "https://dev.example.test/My%20Project/_git/team/app.git"},
      {"https://git.example.test/~user", "https://git.example.test/~user/team/app.git"},
  };
  for (const auto& [url, expected] : table) {
    const auto spec = resolve_source(custom_request(url), k_github);
    ASSERT_TRUE(spec) << url << ": " << spec.error().message;
    EXPECT_EQ(spec->url, expected);
  }
}

TEST(ResolveSource, CustomUrlsThatAreRefused) {
  for (const char* url : {"",
                          "   ",
                          "/",
                          "git.example.test",
                          "file:///etc",
                          "ext::sh -c touch% /tmp/x",
                          "ssh://-oProxyCommand=x/y",
                          "git://h/x",
                          "https:",
                          "https://",
                          "https:///x",
                          "https://-h/x",
                          "https://h:0/",
                          "https://h:65536",
                          "https://h:abc",
                          "https://h:1:2",
                          "https://[::1",
                          "https://[fe80::1%25eth0]/",
                          "https://h/../x",
                          "https://h/x/..",
                          "https://h/x?y",
                          "https://h/x#y",
                          "https://h/a b",
                          "https://h\\@evil/",
                          "https://h/\nx",
                          "https://h%2eevil/",
                          "https://.h/"}) {
    SCOPED_TRACE(url);
    expect_refused(custom_request(url), "provider");
  }
}

TEST(ResolveSource, RefusesCredentialsInTheUrlWithoutShowingThem) {
  const auto spec =
      resolve_source(custom_request("https://user:hunter22@git.example.test"), k_github);
  ASSERT_FALSE(spec);
  EXPECT_THAT(spec.error().customer, HasSubstr("their own fields"));
  EXPECT_THAT(spec.error().customer + spec.error().message, Not(HasSubstr("hunter22")));
}

TEST(ResolveSource, CustomProviderWithoutPasswordIsAnonymous) {
  DeploymentRequest request = custom_request("https://git.example.test");
  request.git_provider->username.clear();
  request.git_provider->password = Secret();
  const auto spec = resolve_source(request, k_github);
  ASSERT_TRUE(spec);
  EXPECT_TRUE(spec->username.empty());
  EXPECT_TRUE(spec->password.empty());
}

TEST(ResolveSource, RefusesAUserNameWithAColon) {
  DeploymentRequest request = custom_request("https://git.example.test");
  request.git_provider->username = "a:b";
  expect_refused(request, "user name");
}

TEST(ResolveSource, TakesOffTheEndingOfTheRepository) {
  DeploymentRequest request = github_request();
  request.repository_name = "octo/hello.git";
  EXPECT_EQ(resolve_source(request, k_github)->url, "https://github.com/octo/hello.git");
}

TEST(ResolveSource, CustomRepositoriesMayHaveOneOrMorePartsAndGitHubsHaveTwo) {
  for (const char* name : {"app", "group/app", "group/sub/app"}) {
    EXPECT_TRUE(resolve_source(custom_request("https://h.test", name), k_github)) << name;
  }
  for (const char* name : {"hello", "octo/hello/tree"}) {
    DeploymentRequest request = github_request();
    request.repository_name = name;
    expect_refused(request, "repository name");
  }
}

TEST(ResolveSource, RefusesHostileRepositoryNames) {
  for (const char* name : {"",
                           "/",
                           "octo/",
                           "/hello",
                           "octo//hello",
                           "../../x",
                           "octo/..",
                           "octo/./x",
                           ".git",
                           "octo/.git",
                           "octo/he llo",
                           "octo/hello?x",
                           "octo/hello#x",
                           "user@octo/hello",
                           "octo/hello:x",
                           "octo\\hello",
                           "-octo/hello",
                           "octo/-hello",
                           "octo/a%0ab",
                           "octo/$(x)",
                           "octo/a;b",
                           "octo/a\nb",
                           "octo/\x1b[31m",
                           "octo/\x7f",
                           "octo/\xff"}) {
    SCOPED_TRACE(name);
    DeploymentRequest request = github_request();
    request.repository_name = name;
    expect_refused(request, "repository name");
    request = custom_request("https://h.test", name);
    expect_refused(request, "repository name");
  }
}

TEST(ResolveSource, ShowsLittleOfALongValue) {
  DeploymentRequest request = github_request();
  request.repository_name = "octo/?" + std::string(10'000, 'x');
  expect_refused(request, "repository name");
}

TEST(ResolveSource, BranchesThatAreTaken) {
  for (const char* branch : {"main", "feature/x", "release-1.2", "a.b", "user@home", "fix#12",
                             "ümlaut", "a/b/c", "v1+2"}) {
    DeploymentRequest request = github_request();
    request.branch = branch;
    const auto spec = resolve_source(request, k_github);
    ASSERT_TRUE(spec) << branch;
    EXPECT_EQ(spec->branch, branch);
  }
}

TEST(ResolveSource, AnEmptyBranchIsMain) {
  DeploymentRequest request = github_request();
  request.branch.clear();
  EXPECT_EQ(resolve_source(request, k_github)->branch, "main");
}

TEST(ResolveSource, RefusesHostileBranches) {
  for (const char* branch : {"--upload-pack=touch /tmp/x",
                             "-c",
                             "a b;c",
                             "a b",
                             "a..b",
                             "a~1",
                             "a^",
                             "a:b",
                             "a?",
                             "a*",
                             "a[",
                             "a\\b",
                             "/a",
                             "a/",
                             "a//b",
                             "a.",
                             ".a",
                             "a/.b",
                             "a.lock",
                             "a.lock/b",
                             "a@{1}",
                             "a\nb",
                             "a\tb",
                             "\x01",
                             "a\x7f"}) {
    SCOPED_TRACE(branch);
    DeploymentRequest request = github_request();
    request.branch = branch;
    expect_refused(request, "branch");
  }
}

TEST(ResolveSource, CommitsThatAreTaken) {
  const std::pair<const char*, const char*> table[] = {
      {"", ""},
      {"abcdef0", "abcdef0"},
      {"ABCDEF0123", "abcdef0123"},
      {"0123456789ABCDEF0123456789abcdef01234567", "0123456789abcdef0123456789abcdef01234567"},
  };
  for (const auto& [commit, expected] : table) {
    DeploymentRequest request = github_request();
    request.commit_sha = commit;
    const auto spec = resolve_source(request, k_github);
    ASSERT_TRUE(spec) << commit;
    EXPECT_EQ(spec->commit, expected);
  }
}

TEST(ResolveSource, RefusesHostileCommits) {
  for (const std::string& commit :
       {std::string("HEAD --"), std::string("--orphan=x"), std::string("HEAD"),
        std::string("abcdef"), std::string("abcdefg"), std::string("$(touch x)"),
        std::string("abcdef0 "), std::string("abcdef0\n"), std::string("main"),
        std::string(65, 'a')}) {
    SCOPED_TRACE(commit);
    DeploymentRequest request = github_request();
    request.commit_sha = commit;
    expect_refused(request, "commit");
  }
}

TEST(ResolveSource, FortyZerosMeanADeletedBranch) {
  DeploymentRequest request = github_request();
  request.commit_sha = std::string(40, '0');
  expect_refused(request, "deleted");
}

}  // namespace
}  // namespace builder::domain
