#include "fakes/processes.hpp"

#include "fixture.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <thread>

namespace builder::test {
namespace {

using namespace std::chrono_literals;
using ::testing::Each;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

/// The server is the proxy as well: it answers for every host.
class Proxy : public GitContract {
 protected:
  Proxy() { std::ofstream(server_.root() + "/proxy_login") << "proxy:s3cret/pass"; }

  void use(std::map<std::string, std::string> variables,
           adapters::git::NetworkPolicy policy = adapters::git::NetworkPolicy::any,
           std::string_view allowed_hosts = "") {
    fetcher_ = *adapters::git::make_source_fetcher(
        {.work_dir = work_dir(),
         .builds_dir = work_dir() + "/builds",
         .policy = policy,
         .allowed_hosts = *adapters::git::AllowedHosts::parse(allowed_hosts),
         .proxies = adapters::http::Proxies([&](const char* name) { return variables[name]; })});
  }

  [[nodiscard]] std::string proxy() const {
    return "http://proxy:s3cret%2Fpass@127.0.0.1:" + server_.port();
  }

  /// At a host whose name only the proxy knows.
  [[nodiscard]] domain::SourceSpec hidden(const std::string& mode = "private") const {
    domain::SourceSpec source = spec("app", "", "main", mode);
    source.base = "http://git.corp.invalid/" + mode;
    source.url = source.base + "/app.git";
    return source;
  }
};

TEST_F(Proxy, OfTheOperatorIsUsedByGit) {
  make_repository("app");
  for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) {
    SCOPED_TRACE(name);
    use({{name, proxy()}});
    const auto fetched = fetch(hidden());
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_EQ(read(*fetched, "file"), "one\n");
    const auto requests = server_.requests();
    EXPECT_THAT(requests, Not(IsEmpty()));
    EXPECT_THAT(requests, Each(Field(&Request::path, StartsWith("proxied:"))));
  }
  EXPECT_THAT(lines_->log() + lines_->events(), Not(HasSubstr("s3cret")));
}

TEST_F(Proxy, IsUsedForLargeFilesToo) {
  make_repository("app");
  commit(
      "app",
      "printf 'large content' > big; OID=$(sha256sum big | cut -d' ' -f1); mv big ../../lfs/$OID; "
      "printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\nsize 13\\n' $OID > "
      "big.bin; echo '*.bin filter=lfs diff=lfs merge=lfs -text' > .gitattributes");
  use({{"http_proxy", proxy()}});
  const auto fetched = fetch(hidden());
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_EQ(read(*fetched, "big.bin"), "large content");
}

TEST_F(Proxy, IsPassedByForHostsOfNoProxy) {
  make_repository("app");
  for (const char* direct : {"127.0.0.1", "10.0.0.0/8,127.0.0.0/8", "*"}) {
    use({{"http_proxy", "http://127.0.0.1:1"}, {"no_proxy", direct}});
    const auto fetched = fetch(spec("app"));
    ASSERT_TRUE(fetched) << direct << fetched.error().message;
  }
  use({{"http_proxy", "http://127.0.0.1:1"}, {"no_proxy", "example.test"}});
  const auto fetched = fetch(spec("app"));
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().kind, ErrorKind::unavailable);
}

TEST_F(Proxy, DoesNotOpenWhatThePolicyCloses) {
  make_repository("app");
  server_.requests();
  use({{"http_proxy", proxy()}}, adapters::git::NetworkPolicy::private_networks);
  for (const std::string& base :
       {std::string("http://169.254.169.254"), server_.origin() + "/private",
        "http://localhost:" + server_.port() + "/private"}) {
    domain::SourceSpec source = spec("app");
    source.url = base + "/app.git";
    const auto fetched = fetch(source);
    ASSERT_FALSE(fetched) << base;
    EXPECT_THAT(fetched.error().customer, HasSubstr("network policy"));
  }
  use({{"http_proxy", proxy()}}, adapters::git::NetworkPolicy::public_only);
  EXPECT_THAT(fetch(hidden()).error().customer, HasSubstr("network policy"));
  EXPECT_THAT(server_.requests(), IsEmpty());
  use({{"http_proxy", proxy()}}, adapters::git::NetworkPolicy::public_only, "*.corp.invalid");
  EXPECT_TRUE(fetch(hidden()));
}

TEST_F(Proxy, KeepsItsPasswordToItself) {
  use({{"http_proxy", proxy()}});
  std::stop_source source;
  std::jthread job([&] {
    [[maybe_unused]] const auto fetched =
        fetch(hidden("stall"), {.deployment_id = {}, .stop = source.get_token()});
  });
  std::string seen;
  for (const auto until = std::chrono::steady_clock::now() + 10s;
       !seen.contains("git-remote-http") && std::chrono::steady_clock::now() < until;) {
    for (const fakes::SeenProcess& process : fakes::processes()) {
      for (const std::string& text : {process.command_line, process.environment}) {
        seen += text.contains(work_dir()) || text.contains("git.corp.invalid") ? text : "";
      }
    }
  }
  source.request_stop();
  EXPECT_THAT(seen, HasSubstr("git-remote-http"));
  EXPECT_THAT(seen, Not(HasSubstr("s3cret")));
}

}  // namespace
}  // namespace builder::test
