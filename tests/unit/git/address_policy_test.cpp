#include "adapters/git/address_policy.hpp"

#include "fakes/address.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace builder::adapters::git {
namespace {

using fakes::address;

TEST(AddressPolicy, AllowsByPolicyAndScheme) {
  using enum NetworkPolicy;

  struct Row {
    const char* scheme;
    const char* address;
    bool in_public;
    bool in_private;
    bool in_any;
  };

  const Row table[] = {
      {"https", "8.8.8.8", true, true, true},
      {"http", "8.8.8.8", false, false, true},
      {"https", "10.0.0.1", false, true, true},
      {"http", "10.0.0.1", false, true, true},
      {"https", "127.0.0.1", false, false, true},
      {"http", "127.0.0.1", false, false, true},
      {"https", "169.254.169.254", false, false, false},
      {"http", "::", false, false, false},
  };
  for (const Row& row : table) {
    const Endpoint endpoint{.scheme = row.scheme, .host = "git.example.test", .port = 443};
    const auto allowed = [&](NetworkPolicy policy) {
      return check_addresses(endpoint, {address(row.address)}, policy, {}).has_value();
    };
    SCOPED_TRACE(std::string(row.scheme) + " " + row.address);
    EXPECT_EQ(allowed(public_only), row.in_public);
    EXPECT_EQ(allowed(private_networks), row.in_private);
    EXPECT_EQ(allowed(any), row.in_any);
  }
}

TEST(AddressPolicy, OneForbiddenAddressRefusesTheHostAndAllOthersArePinned) {
  const Endpoint endpoint{.scheme = "https", .host = "git.example.test", .port = 443};
  const auto both = check_addresses(endpoint, {address("2606:4700::1"), address("8.8.8.8")},
                                    NetworkPolicy::public_only, {});
  ASSERT_TRUE(both);
  EXPECT_EQ(both->addresses, (std::vector<std::string>{"2606:4700::1", "8.8.8.8"}));
  const auto mixed = check_addresses(endpoint, {address("8.8.8.8"), address("127.0.0.1")},
                                     NetworkPolicy::public_only, {});
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().kind, ErrorKind::invalid_input);
  EXPECT_FALSE(mixed.error().customer.empty());
  EXPECT_FALSE(mixed.error().customer.contains("127.0.0.1"));
}

TEST(AddressPolicy, WhatTheOperatorNamesIsAskedWhateverThePolicySays) {
  using enum NetworkPolicy;

  struct Row {
    const char* list;
    const char* scheme;
    const char* address;
    bool allowed;  ///< Under `public` and `private` alike, where the policy alone refuses.
  };

  const Row table[] = {
      {"git.example.test", "https", "127.0.0.1", true},
      {"git.example.test", "http", "127.0.0.1", true},
      {"git.example.test", "http", "8.8.8.8", true},
      {"*.example.test", "http", "8.8.8.8", true},
      {"8.8.0.0/16", "http", "8.8.8.8", true},
      {"127.0.0.0/8", "https", "127.0.0.1", true},
      {"other.example.test", "https", "127.0.0.1", false},
      {"git.example.test", "https", "169.254.169.254", false},
      {"169.254.0.0/16", "https", "169.254.169.254", false},
      {"169.254.169.254", "https", "169.254.169.254", true},
  };
  for (const Row& row : table) {
    SCOPED_TRACE(std::string(row.list) + " " + row.scheme + " " + row.address);
    const Endpoint endpoint{.scheme = row.scheme, .host = "git.example.test", .port = 443};
    for (const NetworkPolicy policy : {public_only, private_networks}) {
      EXPECT_FALSE(check_addresses(endpoint, {address(row.address)}, policy, {}));
      EXPECT_EQ(
          check_addresses(endpoint, {address(row.address)}, policy, *AllowedHosts::parse(row.list))
              .has_value(),
          row.allowed);
    }
  }
  // It takes nothing away.
  const Endpoint other{.scheme = "https", .host = "github.com", .port = 443};
  EXPECT_TRUE(check_addresses(other, {address("8.8.8.8")}, public_only,
                              *AllowedHosts::parse("git.example.test")));
  EXPECT_FALSE(check_addresses(other, {address("8.8.8.8"), address("10.0.0.1")}, public_only,
                               *AllowedHosts::parse("8.8.8.8")));
}

TEST(AddressPolicy, EveryRefusalReadsAlikeToTheCustomer) {
  const Endpoint endpoint{.scheme = "http", .host = "git.example.test", .port = 8080};
  const Error unknown = unknown_host(endpoint);
  EXPECT_LE(
      unknown_host({.scheme = "http", .host = std::string(250, 'x'), .port = 1}).customer.size(),
      191U);
  for (const char* refused :
       {"127.0.0.1", "10.0.0.1", "169.254.169.254", "8.8.8.8", "::1", "2001:db8::1", "0.0.0.0"}) {
    const auto checked =
        check_addresses(endpoint, {address(refused)}, NetworkPolicy::public_only, {});
    ASSERT_FALSE(checked) << refused;
    EXPECT_EQ(checked.error().customer, unknown.customer) << refused;
    EXPECT_EQ(checked.error().kind, unknown.kind) << refused;
    EXPECT_TRUE(checked.error().message.contains(refused)) << checked.error().message;
  }
}

TEST(Endpoint, IsReadFromAUrl) {
  const std::pair<const char*, const char*> table[] = {
      {"https://Git.Example.Test/x", "https://git.example.test"},
      {"https://h:443/x", "https://h"},
      {"https://h:8443/x", "https://h:8443"},
      {"http://h:80", "http://h"},
      {"http://[::1]:8080/x", "http://[::1]:8080"},
      {"http://[::1]/x", "http://[::1]"},
  };
  for (const auto& [url, origin] : table) {
    const auto endpoint = parse_endpoint(url);
    ASSERT_TRUE(endpoint) << url;
    EXPECT_EQ(endpoint->origin(), origin);
  }
  for (const char* url :
       {"file:///x", "ssh://h/x", "https://", "https:///x", "https://u@h/", "https://h:0/",
        "https://h:x/", "https://h:99999/", "https://[::1", "https://h:/x"}) {
    EXPECT_FALSE(parse_endpoint(url)) << url;
  }
}

// git's library would connect to another host than the one that was checked, or to none.
TEST(Endpoint, HasAHostThatIsReadInOneWayOnly) {
  for (const char* url : {"https://evil.example#.github.com/x",
                          "https://evil.example?.github.com/x",
                          "https://evil.example\\.github.com/x",
                          "https://%31%32%37.0.0.1/x",
                          "https://127\u30020\u30020\u30021/x",
                          "https://a b/x",
                          "https://a\tb/x",
                          "https://[::1]x80/x",
                          "https://[::1]x:80/x",
                          "https://[127.0.0.1]/x",
                          "https://[a:b]]/x",
                          "https://[::1%25lo]/x",
                          "https://169.254.169.254\\.h/x",
                          "https://h,u/",
                          "https://[fe80::1%25eth0]/",
                          "https://m\xC3\xBCller/",
                          "https://?h/",
                          "https://[h]/",
                          "https://[::1]h/",
                          "https://u:p]]]]h:8443/x",
                          "https://[u:p]:8443/x"}) {
    EXPECT_FALSE(parse_endpoint(url)) << url;
  }
}

}  // namespace
}  // namespace builder::adapters::git
