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
      return check_addresses(endpoint, {address(row.address)}, policy).has_value();
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
                                    NetworkPolicy::public_only);
  ASSERT_TRUE(both);
  EXPECT_EQ(both->addresses, (std::vector<std::string>{"2606:4700::1", "8.8.8.8"}));
  const auto mixed = check_addresses(endpoint, {address("8.8.8.8"), address("127.0.0.1")},
                                     NetworkPolicy::public_only);
  ASSERT_FALSE(mixed);
  EXPECT_EQ(mixed.error().kind, ErrorKind::invalid_input);
  EXPECT_FALSE(mixed.error().customer.empty());
  EXPECT_FALSE(mixed.error().customer.contains("127.0.0.1"));
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
  for (const char* url : {"file:///x", "ssh://h/x", "https://", "https:///x", "https://u@h/",
                          "https://h:0/", "https://h:x/", "https://h:99999/", "https://[::1"}) {
    EXPECT_FALSE(parse_endpoint(url)) << url;
  }
}

}  // namespace
}  // namespace builder::adapters::git
