#include "adapters/oci/reference.hpp"

#include "adapters/oci/challenge.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::oci {
namespace {

const std::string k_digest = "sha256:" + std::string(64, 'a');

TEST(Reference, IsReadAsDockerReadsIt) {
  const auto check = [](const std::string& text, const std::string& whole) {
    const auto reference = parse_reference(text);
    ASSERT_TRUE(reference) << text;
    EXPECT_EQ(reference->str(), whole) << text;
  };
  check("busybox", "registry-1.docker.io/library/busybox:latest");
  check("busybox:1.36", "registry-1.docker.io/library/busybox:1.36");
  check("paketobuildpacks/builder:base", "registry-1.docker.io/paketobuildpacks/builder:base");
  check("docker.io/busybox", "registry-1.docker.io/library/busybox:latest");
  check("index.docker.io/a/b", "registry-1.docker.io/a/b:latest");
  check("ghcr.io/owner/name:v1", "ghcr.io/owner/name:v1");
  check("localhost/x", "localhost/x:latest");
  check("127.0.0.1:5000/a/b:t", "127.0.0.1:5000/a/b:t");
  check("[::1]:5000/a", "[::1]:5000/a:latest");
  check("host:5000/a@" + k_digest, "host:5000/a@" + k_digest);
  check("host.x/a:t@" + k_digest, "host.x/a:t@" + k_digest);
  check("1.dkr.ecr.us-east-1.amazonaws.com/deployra/s_1",
        "1.dkr.ecr.us-east-1.amazonaws.com/deployra/s_1:latest");
}

TEST(Reference, TheDigestDecides) {
  EXPECT_EQ(parse_reference("a:t@" + k_digest)->selector(), k_digest);
  EXPECT_EQ(parse_reference("a:t")->selector(), "t");
}

TEST(Reference, RefusesWhatIsNone) {
  for (const char* bad : {"", "Upper/case", "a b", "host.x/", "a:", "a:.x", "a@sha256:short",
                          "a@md5:x", "../a", "host.x/a/../b", "host.x//a", "a/b/", "host.x/a?b=c",
                          "http://host.x/a", "user@host.x/a", "ho st.x/a"}) {
    const auto reference = parse_reference(bad);
    ASSERT_FALSE(reference) << bad;
    EXPECT_EQ(reference.error().kind, ErrorKind::invalid_input);
  }
}

TEST(PlainHttp, IsForLoopbackOnly) {
  for (const char* host : {"localhost", "localhost:5000", "127.0.0.1", "127.0.0.1:1", "127.9.9.9:1",
                           "[::1]", "[::1]:5000"}) {
    EXPECT_TRUE(is_plain_http(host)) << host;
  }
  for (const char* host : {"10.0.0.1", "registry.example.com", "localhost.example.com:5000",
                           "127.0.0.1.example.com", "128.0.0.1", "[::2]:1", "1270.0.0.1"}) {
    EXPECT_FALSE(is_plain_http(host)) << host;
  }
}

TEST(Challenge, IsReadWhateverItsShape) {
  const auto bearer = parse_challenge(
      R"(Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="a,b")");
  ASSERT_TRUE(bearer);
  EXPECT_EQ(bearer->scheme, Challenge::Scheme::bearer);
  EXPECT_EQ(bearer->realm, "https://auth.docker.io/token");
  EXPECT_EQ(bearer->service, "registry.docker.io");
  EXPECT_EQ(
      parse_challenge(R"(Basic realm="https://1.dkr.ecr/",service="ecr.amazonaws.com")")->scheme,
      Challenge::Scheme::basic);
  EXPECT_EQ(parse_challenge(R"(basic realm=x)")->scheme, Challenge::Scheme::basic);
  EXPECT_EQ(
      parse_challenge(R"(Basic realm="x", Bearer realm="https://h/t", service = "s\"q")")->service,
      "s\"q");
  for (const char* bad :
       {"", "Negotiate", "Bearer", "Bearer service=\"x\"", "=,=\"\"", "\"\"\"", "Bearer realm="}) {
    EXPECT_FALSE(parse_challenge(bad)) << bad;
  }
}

TEST(Challenge, ALoginIsShownOnlyToTheRegistrysOwnTokenService) {
  struct Case {
    const char* host;
    const char* realm;
    bool shown;
  };

  for (const auto& [host, realm, shown] : {
           Case{"registry-1.docker.io", "https://auth.docker.io/token", true},
           Case{"ghcr.io", "https://ghcr.io/token", true},
           Case{"registry.gitlab.com", "https://gitlab.com/jwt/auth", true},
           Case{"registry.example.com:5000", "https://registry.example.com/token", true},
           Case{"registry.example.com", "https://REGISTRY.example.com/token", true},
           Case{"127.0.0.1:5000", "http://127.0.0.1:5000/token", true},
           Case{"127.0.0.1:5000", "http://127.0.0.1:6000/token", false},
           Case{"registry.example.com", "http://registry.example.com/token", false},
           Case{"registry.example.com", "https://evil.test/token", false},
           Case{"registry.example.com", "https://registry.example.com@evil.test/token", false},
           Case{"registry.example.com", "https://registry.example.com.evil.test/", false},
           Case{"1.dkr.ecr.us-east-1.amazonaws.com", "https://x.s3.amazonaws.com/t", false},
           Case{"1.dkr.ecr.us-east-1.amazonaws.com", "https://169.254.169.254/t", false},
           Case{"example.com", "https://other.com/t", false},
           Case{"10.0.0.1:5000", "https://10.0.0.2:5000/t", false},
           Case{"registry.example.com", "file:///etc/passwd", false},
           Case{"registry.example.com", "", false},
       }) {
    EXPECT_EQ(may_show_login(host, realm), shown) << host << " " << realm;
  }
  EXPECT_FALSE(is_usable_realm("registry.example.com", "http://127.0.0.1:80/t"));
  EXPECT_TRUE(is_usable_realm("registry.example.com", "https://elsewhere.test/t"));
}

TEST(Reference, OfARepositoryIsThatOfItsApi) {
  for (const char* typed : {"me/app", "docker.io/me/app", "index.docker.io/me/app"}) {
    EXPECT_EQ(reference_of({typed}, "1").str(), "registry-1.docker.io/me/app:1") << typed;
  }
  EXPECT_EQ(reference_of({"app"}, "1").str(), "registry-1.docker.io/library/app:1");
  EXPECT_EQ(reference_of({"localhost:5000/a/b"}, "1").str(), "localhost:5000/a/b:1");
}

}  // namespace
}  // namespace builder::adapters::oci
