#include "adapters/http/proxy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace builder::adapters::http {
namespace {

using ::testing::ElementsAre;

Proxies with(std::map<std::string, std::string> variables) {
  return Proxies([&](const char* name) { return variables[name]; });
}

TEST(Proxies, AreChosenByScheme) {
  const Proxies proxies = with({{"http_proxy", "http://a:1"}, {"https_proxy", "b:2"}});
  EXPECT_EQ(proxies.for_url("http://h.test/x"), "http://a:1");
  EXPECT_EQ(proxies.for_url("https://h.test"), "b:2");
  EXPECT_EQ(with({}).for_url("https://h.test"), "");
  EXPECT_EQ(with({{"http_proxy", "http://a:1"}}).for_url("https://h.test"), "");
  EXPECT_EQ(with({{"ALL_PROXY", "socks5h://a:1"}}).for_url("https://h.test"), "socks5h://a:1");
  EXPECT_EQ(with({{"HTTPS_PROXY", "a"}, {"https_proxy", "b"}}).for_url("https://h"), "b");
}

TEST(Proxies, ArePassedByForNoProxy) {
  struct Row {
    const char* list;
    const char* url;
    bool direct;
  };

  for (const Row& row : {
           Row{"h.test", "http://h.test/x", true},
           Row{"h.test", "http://a.H.test:8080/x", true},
           Row{".h.test", "http://a.h.test", true},
           Row{".h.test", "http://h.test", true},
           Row{"*.h.test", "http://a.h.test", true},
           Row{"h.test", "http://oh.test", false},
           Row{"h.test", "http://h.test.evil", false},
           Row{"h.test", "http://u:p@h.test", true},
           Row{"h.test", "http://h.test@evil/x", false},
           Row{"h.test:8080", "http://h.test:8080", true},
           Row{"h.test:8080", "http://h.test", false},
           Row{"h.test:80", "http://h.test", true},
           Row{"a.test, h.test other", "http://h.test", true},
           Row{"a.test other", "http://other./x", true},
           Row{"*", "http://h.test", true},
           Row{"10.0.0.0/8", "http://10.1.2.3:5000/", true},
           Row{"10.0.0.0/8", "http://11.1.2.3", false},
           Row{"10.1.2.3", "http://10.1.2.3", true},
           Row{"10.0.0.0/33", "http://10.1.2.3", false},
           Row{"::1", "http://[::1]:80/", true},
           Row{"fd00::/8", "http://[fd12::1]/", true},
           Row{"[fd12::1]:80", "http://[fd12::1]/", true},
           Row{"", "http://h.test", false},
           Row{",, ,", "http://h.test", false},
       }) {
    const Proxies proxies = with({{"http_proxy", "http://p"}, {"NO_PROXY", row.list}});
    EXPECT_EQ(proxies.for_url(row.url).empty(), row.direct) << row.list << " " << row.url;
  }
}

TEST(Proxies, NameTheirPasswords) {
  EXPECT_THAT(
      with({{"http_proxy", "http://u:a%40b@h:1"}, {"https_proxy", "u:plain@h"}}).passwords(),
      ElementsAre("a%40b", "a@b", "plain"));
  EXPECT_THAT(with({{"http_proxy", "http://u@h:1"}}).passwords(), ElementsAre());
}

TEST(Proxies, AreNotForThisMachine) {
  for (const char* url : {"http://localhost:3000/api", "http://127.0.0.1/", "http://127.9.9.9:1",
                          "http://[::1]:80/", "http://169.254.169.254/latest",
                          "http://[fd00:ec2::254]/", "http://[fe80::1]/", "http://a.localhost"}) {
    EXPECT_TRUE(is_of_this_machine(url)) << url;
  }
  for (const char* url : {"http://localhost.evil/", "http://128.0.0.1", "http://h/127.0.0.1",
                          "http://127.0.0.1@evil/"}) {
    EXPECT_FALSE(is_of_this_machine(url)) << url;
  }
}

}  // namespace
}  // namespace builder::adapters::http
