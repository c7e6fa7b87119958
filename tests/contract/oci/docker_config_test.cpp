#include "adapters/oci/docker_config.hpp"

#include "base/temp_dir.hpp"
#include "ports/job_context.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

namespace builder::adapters::oci {
namespace {

/// A credential helper: it notes each question, and knows one registry.
class DockerConfigTest : public ::testing::Test {
 protected:
  DockerConfigTest() : folder_(*TempDir::make(::testing::TempDir(), "helper-")) {
    helper("keys", R"(host=$(cat); echo "$host" >> )" + asked() + R"(
case "$host" in
  known.test) echo '{"ServerURL":"known.test","Username":"me","Secret":"of-the-helper"}' ;;
  https://index.docker.io/v1/) echo '{"Username":"hub","Secret":"of-the-hub"}' ;;
  token.test) echo '{"Username":"<token>","Secret":"x"}' ;;
  *) echo "credentials not found in native keychain"; exit 1 ;;
esac)");
  }

  void helper(const std::string& name, const std::string& script) const {
    const std::string path = folder_.path() + "/docker-credential-" + name;
    std::ofstream(path) << "#!/bin/sh\n" << script << "\n";
    EXPECT_EQ(::chmod(path.c_str(), 0755), 0);
  }

  [[nodiscard]] std::string asked() const { return folder_.path() + "/asked"; }

  /// `user:password`; "none", or the error.
  std::string login(ports::RegistryLogins& logins, const std::string& host) {
    const auto found = logins.login({}, host);
    return !found              ? "error: " + found.error().message
           : *found == nullptr ? "none"
                               : (*found)->username + ":" + (*found)->password.reveal();
  }

  std::unique_ptr<ports::RegistryLogins> logins(const std::string& config) {
    // The program is found in our own PATH.
    const char* path = ::getenv("PATH");
    ::setenv("PATH", (folder_.path() + ":" + path).c_str(), 1);
    return *make_docker_config_logins(config, {"PATH=" + folder_.path() + ":" + path});
  }

  TempDir folder_;
};

TEST_F(DockerConfigTest, ReadsWhatDockerLoginWritesDown) {
  const auto read = logins(R"({"auths": {"https://index.docker.io/v1/": {"auth": "aHViOnB3"},
    "a.test:5000": {"username": "u", "password": "p"}, "empty.test": {},
    "token.test": {"identitytoken": "t"}}, "detachKeys": "x"})");
  EXPECT_EQ(login(*read, "registry-1.docker.io"), "hub:pw");
  EXPECT_EQ(login(*read, "a.test:5000"), "u:p");
  for (const char* host : {"empty.test", "token.test", "a.test"}) {
    EXPECT_EQ(login(*read, host), "none") << host;
  }
}

TEST_F(DockerConfigTest, AsksTheHelperOnceForEachRegistry) {
  const auto read = logins(
      R"({"credsStore": "keys", "auths": {"known.test": {}, "b.test": {"auth": "YjpwYg=="}}})");
  EXPECT_EQ(login(*read, "known.test"), "me:of-the-helper");
  EXPECT_EQ(login(*read, "known.test"), "me:of-the-helper");
  EXPECT_EQ(login(*read, "registry-1.docker.io"), "hub:of-the-hub");
  EXPECT_EQ(login(*read, "token.test"), "none");
  EXPECT_EQ(login(*read, "b.test"), "b:pb");
  std::ifstream questions(asked());
  std::string all;
  for (std::string line; std::getline(questions, line);) {
    all += line + " ";
  }
  EXPECT_EQ(all, "known.test https://index.docker.io/v1/ token.test b.test ");
}

TEST_F(DockerConfigTest, ARegistrysOwnHelperIsAskedForItAlone) {
  const auto read = logins(R"({"credHelpers": {"known.test": "keys"}})");
  EXPECT_EQ(login(*read, "known.test"), "me:of-the-helper");
  EXPECT_EQ(login(*read, "other.test"), "none");
}

TEST_F(DockerConfigTest, ARefusedLoginIsAskedForAgain) {
  const auto read = logins(R"({"credsStore": "keys"})");
  const auto first = *read->login({}, "known.test");
  read->renew("known.test", first);
  EXPECT_EQ(login(*read, "known.test"), "me:of-the-helper");
  std::ifstream questions(asked());
  std::string line;
  EXPECT_TRUE(std::getline(questions, line) && std::getline(questions, line));
}

TEST_F(DockerConfigTest, WhatIsNoNameOfAHelperIsNotRun) {
  helper("evil", "touch " + folder_.path() + "/ran");
  for (const char* name : {"../evil", "x/../docker-credential-evil", "evil; true", ""}) {
    const auto read = logins(R"({"credsStore": ")" + std::string(name) + "\"}");
    EXPECT_EQ(login(*read, "known.test"), "none");
  }
  EXPECT_NE(::access((folder_.path() + "/ran").c_str(), F_OK), 0);
}

TEST_F(DockerConfigTest, AHelperThatIsNotThereIsSaid) {
  const auto read = logins(R"({"credsStore": "missing"})");
  EXPECT_NE(login(*read, "known.test").find("docker-credential-missing"), std::string::npos);
}

TEST(DockerConfig, IsAnObjectOrNothing) {
  EXPECT_TRUE(make_docker_config_logins("", {}));
  EXPECT_FALSE(make_docker_config_logins("[]", {}));
  EXPECT_FALSE(make_docker_config_logins("{", {}));
}

}  // namespace
}  // namespace builder::adapters::oci
