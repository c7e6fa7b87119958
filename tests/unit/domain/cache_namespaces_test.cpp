#include "domain/cache_namespaces.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace builder::domain {
namespace {

DeploymentRequest request(const std::string& service, const std::string& repository = "octo/app",
                          const std::string& user = "octo", const std::string& url = {}) {
  return {.deployment_id = DeploymentId("d1"),
          .service_id = ServiceId(service),
          .commit_sha = {},
          .branch = "main",
          .repository_name = repository,
          .runtime_file_path = {},
          .git_provider =
              GitProvider{.type = url.empty() ? GitProviderType::github : GitProviderType::custom,
                          .url = url,
                          .username = user,
                          .password = Secret("token")},
          .environment = {},
          .ports = {}};
}

std::string dockerfile(CacheSharing sharing, const DeploymentRequest& of,
                       const std::string& key = "key") {
  return cache_namespaces(Secret(key), of).dockerfile(sharing).reveal();
}

std::string buildpacks(const DeploymentRequest& of) {
  return cache_namespaces(Secret("key"), of).buildpacks.reveal();
}

TEST(CacheNamespaces, AreEqualForAServiceAndTellAllElseApart) {
  using enum CacheSharing;
  EXPECT_EQ(dockerfile(service, request("s1")), dockerfile(service, request("s1", "other/app")));
  const std::set<std::string> names{dockerfile(service, request("s1")),
                                    dockerfile(service, request("s2")),
                                    dockerfile(service, request("s1"), "another key"),
                                    buildpacks(request("s1")), buildpacks(request("s2"))};
  EXPECT_EQ(names.size(), 5U);
  for (const std::string& name : names) {
    EXPECT_EQ(name.size(), 32U);
    EXPECT_EQ(name.find_first_not_of("0123456789abcdef"), std::string::npos);
  }
}

TEST(CacheNamespaces, AreSharedAsTheOperatorSays) {
  using enum CacheSharing;
  EXPECT_EQ(dockerfile(all, request("s1")), dockerfile(all, request("s2", "x/y", "z")));
  EXPECT_EQ(dockerfile(organization, request("s1")),
            dockerfile(organization, request("s2", "octo/other")));
  for (const auto& other : {request("s2", "cat/app"), request("s2", "octo/app", "cat"),
                            request("s2", "octo/app", "octo", "https://git.test"),
                            request("s2", "octo/sub/app"), request("s2", "app")}) {
    EXPECT_NE(dockerfile(organization, request("s1")), dockerfile(organization, other));
  }
  EXPECT_NE(dockerfile(organization, request("s1", "app")),
            dockerfile(organization, request("s2", "app")));
}

TEST(CacheNamespaces, OfBuildpacksAreNeverShared) {
  using enum CacheSharing;
  EXPECT_NE(buildpacks(request("s1")), buildpacks(request("s2")));
  for (const CacheSharing sharing : {service, organization, all}) {
    EXPECT_NE(buildpacks(request("s1")), dockerfile(sharing, request("s1")));
  }
}

TEST(CacheNamespaces, NoTwoNamesRunIntoEachOther) {
  using enum CacheSharing;
  EXPECT_NE(dockerfile(organization, request("s1", "a/x", "bc", "u")),
            dockerfile(organization, request("s1", "ca/x", "b", "u")));
  EXPECT_NE(dockerfile(organization, request("s1", "a/x", std::string("b\0c", 3), "u")),
            dockerfile(organization, request("s1", "a/x", "b", std::string("c\0u", 3))));
}

}  // namespace
}  // namespace builder::domain
