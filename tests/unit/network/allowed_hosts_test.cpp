#include "adapters/network/allowed_hosts.hpp"

#include "fakes/address.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace builder::adapters::network {
namespace {

using fakes::address;
using ::testing::HasSubstr;

TEST(AllowedHosts, AreNamedByHostDomainAddressOrNetwork) {
  struct Row {
    const char* list;
    const char* host;
    const char* address;
    bool allowed;
  };

  const Row table[] = {
      {"", "git.example.com", "10.0.0.1", false},
      {"git.example.com", "git.example.com", "10.0.0.1", true},
      {"git.example.com", "git.example.com", "127.0.0.1", true},
      {"git.example.com", "git.example.com", "fd12::1", true},
      {"Git.Example.COM", "git.example.com", "10.0.0.1", true},
      {"git.example.com", "a.git.example.com", "10.0.0.1", false},
      {"git.example.com", "xgit.example.com", "10.0.0.1", false},
      {"git.example.com", "git.example.com.evil.test", "10.0.0.1", false},
      {"git.example.com", "10.0.0.1", "10.0.0.1", false},
      {"*.example.com", "git.example.com", "10.0.0.1", true},
      {"*.example.com", "a.b.example.com", "10.0.0.1", true},
      {"*.example.com", "example.com", "10.0.0.1", false},
      {"*.example.com", "xexample.com", "10.0.0.1", false},
      {"*.internal", "git.internal", "10.0.0.1", true},
      {"localhost", "localhost", "::1", true},
      {"10.1.2.3", "10.1.2.3", "10.1.2.3", true},
      {"10.1.2.3", "any.test", "10.1.2.3", true},
      {"10.1.2.3", "any.test", "10.1.2.4", false},
      {"10.1.2.3", "any.test", "::ffff:10.1.2.3", true},
      {"10.1.2.3", "any.test", "64:ff9b::10.1.2.3", false},
      {"[fd00::1]", "any.test", "fd00::1", true},
      {"fd00:0::0:1", "any.test", "fd00::1", true},
      {"10.1.0.0/16", "any.test", "10.1.255.255", true},
      {"10.1.0.0/16", "any.test", "10.2.0.0", false},
      {"10.1.0.0/16", "any.test", "::ffff:10.1.0.1", true},
      {"10.128.0.0/9", "any.test", "10.127.0.1", false},
      {"10.128.0.0/9", "any.test", "10.200.0.1", true},
      {"10.1.2.3/32", "any.test", "10.1.2.3", true},
      {"10.1.2.3/32", "any.test", "10.1.2.2", false},
      {"127.0.0.0/8", "any.test", "127.0.0.1", true},
      {"fd00:1::/33", "any.test", "fd00:1:7fff::1", true},
      {"fd00:1::/33", "any.test", "fd00:1:8000::1", false},
      {"::/8", "any.test", "10.0.0.1", false},
      {" a.test ,, 10.0.0.0/8 ,", "b.test", "10.9.9.9", true},
      {" a.test ,, 10.0.0.0/8 ,", "a.test", "192.168.0.1", true},
      // Metadata services and the like: only as an address.
      {"metadata.test", "metadata.test", "169.254.169.254", false},
      {"*.internal", "metadata.google.internal", "169.254.169.254", false},
      {"169.254.0.0/16", "any.test", "169.254.169.254", false},
      {"169.254.169.254/32", "any.test", "169.254.169.254", false},
      {"128.0.0.0/1", "any.test", "169.254.169.254", false},
      {"128.0.0.0/1", "any.test", "192.168.0.1", true},
      {"fd00::/8", "any.test", "fd00:ec2::254", false},
      {"fd00::/8", "any.test", "fd00:ec3::254", true},
      {"100.64.0.0/10", "any.test", "100.100.100.200", false},
      {"169.254.169.254", "any.test", "169.254.169.254", true},
      {"169.254.169.254", "any.test", "::ffff:169.254.169.254", true},
      {"169.254.169.254", "any.test", "64:ff9b::169.254.169.254", false},
      {"169.254.169.254", "any.test", "169.254.169.253", false},
      {"fd00:ec2::254", "any.test", "fd00:ec2::254", true},
  };
  for (const Row& row : table) {
    SCOPED_TRACE(std::string(row.list) + " | " + row.host + " | " + row.address);
    const auto allowed = AllowedHosts::parse(row.list);
    ASSERT_TRUE(allowed) << allowed.error().message;
    EXPECT_EQ(allowed->allows(row.host, address(row.address)), row.allowed);
  }
}

TEST(AllowedHosts, WhatCannotBeMeantIsNamed) {
  const std::pair<const char*, const char*> table[] = {
      {"https://git.example.com", "URL"},
      {"git.example.com:3000", "port"},
      {"10.0.0.1:3000", "port"},
      {"[fd00::1]:443", "port"},
      {"fe80::1%eth0", "no address"},
      {"10.1.2.3/8", "bits behind its prefix"},
      {"fd00::1/64", "bits behind its prefix"},
      {"10.0.0.0/33", "no network"},
      {"10.0.0.0/", "no network"},
      {"10.0.0.0/8x", "no network"},
      {"10.0.0.0/-8", "no network"},
      {"10.0.0/8", "no network"},
      {"fd00::/129", "no network"},
      {"git.example.com/team", "no network"},
      {"0.0.0.0/0", "GIT_NETWORK_POLICY=any"},
      {"::/0", "GIT_NETWORK_POLICY=any"},
      {"*", "no host name"},
      {"*.", "no host name"},
      {"git.*.com", "no host name"},
      {"git.example.com.", "no host name"},
      {"a b.test", "no host name"},
      {"a.test b.test", "no host name"},
      {"m\xC3\xBCller.test", "no host name"},
      {"user@git.example.com", "no host name"},
      {"2130706433", "no host name"},
      {"127.1", "no host name"},
      {"0x7f000001", "no host name"},
      {"10.0.0.256", "no host name"},
      {"a.test,https://b.test", "'https://b.test'"},
  };
  for (const auto& [list, words] : table) {
    SCOPED_TRACE(list);
    const auto allowed = AllowedHosts::parse(list);
    ASSERT_FALSE(allowed);
    EXPECT_EQ(allowed.error().kind, ErrorKind::invalid_input);
    EXPECT_THAT(allowed.error().message, HasSubstr(words));
  }
}

}  // namespace
}  // namespace builder::adapters::network
