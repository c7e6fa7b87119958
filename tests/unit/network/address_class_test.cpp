#include "adapters/network/address_class.hpp"

#include "fakes/address.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

namespace builder::adapters::network {
namespace {

using fakes::address;

TEST(AddressClassTest, KnowsTheSpecialNetworks) {
  using enum AddressClass;
  const std::pair<const char*, AddressClass> table[] = {
      {"8.8.8.8", public_address},
      {"172.15.255.255", public_address},
      {"172.32.0.0", public_address},
      {"2606:4700::1", public_address},
      {"10.0.0.1", private_address},
      {"172.16.0.1", private_address},
      {"172.31.255.255", private_address},
      {"192.168.1.1", private_address},
      {"100.64.0.1", private_address},
      {"fc00::1", private_address},
      {"fd12:3456::1", private_address},
      {"127.0.0.1", loopback},
      {"127.255.255.254", loopback},
      {"::1", loopback},
      {"0.0.0.0", forbidden},
      {"0.1.2.3", forbidden},
      {"169.254.169.254", forbidden},
      {"169.254.0.1", forbidden},
      {"100.100.100.200", forbidden},
      {"168.63.129.16", forbidden},
      {"192.0.0.192", forbidden},
      {"224.0.0.1", forbidden},
      {"240.0.0.1", forbidden},
      {"255.255.255.255", forbidden},
      {"::", forbidden},
      {"fe80::1", forbidden},
      {"febf::1", forbidden},
      {"ff02::1", forbidden},
      {"fd00:ec2::254", forbidden},
      {"fd20:ce::254", forbidden},
      {"::ffff:127.0.0.1", loopback},
      {"::ffff:10.0.0.1", private_address},
      {"::ffff:169.254.169.254", forbidden},
      {"::ffff:8.8.8.8", public_address},
      {"64:ff9b::7f00:1", loopback},
      {"64:ff9b::a9fe:a9fe", forbidden},
      {"64:ff9b::808:808", public_address},
      {"2002:7f00:1::1", loopback},
      {"2002:a9fe:a9fe::1", forbidden},
      {"::7f00:1", forbidden},
      // As the operator's own NAT64 has it.
      {"64:ff9b:1::7f00:1", loopback},
      {"64:ff9b:1::a9fe:a9fe", forbidden},
      {"64:ff9b:1:fffe::808:808", private_address},
      {"64:ff9b:2::808:808", forbidden},
      {"::ffff:0:7f00:1", forbidden},
      {"2002:a00:1::1", private_address},
      {"2002:808:808::1", public_address},
      {"::ffff:100.100.100.200", forbidden},
      {"64:ff9b::168.63.129.16", forbidden},
      // Teredo, with public addresses of its server and client.
      {"2001:0:808:808:0:ffff:f7f7:f7f7", forbidden},
      // Not given out.
      {"4000::1", forbidden},
      {"1::1", forbidden},
      {"fe00::1", forbidden},
  };
  for (const auto& [text, expected] : table) {
    EXPECT_EQ(classify(address(text).get()), expected) << text;
  }
}

/// First and last addresses of a network.
struct Block {
  const char* first;
  const char* last;
  bool globally_reachable;
};

TEST(AddressClassTest, HoldsNothingForPublicThatIanaDoesNot) {
  // https://www.iana.org/assignments/iana-ipv4-special-registry and …-ipv6-special-registry, every
  // row as of 2024-10. What has no yes or no there (6to4, Teredo) is above.
  const Block registry[] = {
      {"0.0.0.0", "0.255.255.255", false},
      {"10.0.0.0", "10.255.255.255", false},
      {"100.64.0.0", "100.127.255.255", false},
      {"127.0.0.0", "127.255.255.255", false},
      {"169.254.0.0", "169.254.255.255", false},
      {"172.16.0.0", "172.31.255.255", false},
      {"192.0.0.0", "192.0.0.8", false},
      {"192.0.0.170", "192.0.0.171", false},
      {"192.0.2.0", "192.0.2.255", false},
      {"192.31.196.0", "192.31.196.255", true},
      {"192.52.193.0", "192.52.193.255", true},
      {"192.88.99.2", "192.88.99.2", false},
      {"192.168.0.0", "192.168.255.255", false},
      {"192.175.48.0", "192.175.48.255", true},
      {"198.18.0.0", "198.19.255.255", false},
      {"198.51.100.0", "198.51.100.255", false},
      {"203.0.113.0", "203.0.113.255", false},
      {"240.0.0.0", "255.255.255.254", false},
      {"255.255.255.255", "255.255.255.255", false},
      {"::1", "::1", false},
      {"::", "::", false},
      {"64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", false},
      {"100::", "100::ffff:ffff:ffff:ffff", false},
      {"100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", false},
      {"2001::", "2001::ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"2001:1::4", "2001:1:ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", false},
      {"2001:3::", "2001:3:ffff:ffff:ffff:ffff:ffff:ffff", true},
      {"2001:4:112::", "2001:4:112:ffff:ffff:ffff:ffff:ffff", true},
      {"2001:10::", "2001:1f:ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"2001:20::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff", true},
      {"2001:30::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", true},
      {"2001:40::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"2620:4f:8000::", "2620:4f:8000:ffff:ffff:ffff:ffff:ffff", true},
      {"3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
      {"fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false},
      // Beside the blocks.
      {"1.0.0.0", "9.255.255.255", true},
      {"100.63.255.255", "100.128.0.0", true},
      {"126.255.255.255", "128.0.0.0", true},
      {"169.253.255.255", "169.255.0.0", true},
      {"192.0.1.0", "192.0.3.0", true},
      {"198.17.255.255", "198.20.0.0", true},
      {"223.255.255.255", "223.255.255.255", true},
      {"2000::", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
      {"2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", true},
      {"2001:db9::", "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
      {"2003::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
      {"3fff:1000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true},
  };
  for (const Block& block : registry) {
    for (const std::string text : {block.first, block.last}) {
      const bool is_public = classify(address(text).get()) == AddressClass::public_address;
      EXPECT_EQ(is_public, block.globally_reachable) << text;
      if (!text.contains(':')) {
        EXPECT_EQ(classify(address("::ffff:" + text).get()), classify(address(text).get())) << text;
        EXPECT_EQ(classify(address("64:ff9b::" + text).get()), classify(address(text).get()))
            << text;
      }
    }
  }
}

std::string text_of(int family, const void* bytes) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return ::inet_ntop(family, bytes, text.data(), text.size());
}

TEST(AddressClassTest, CountsEveryAddressOfThisMachineAsLoopback) {
  ifaddrs* list = nullptr;
  ASSERT_EQ(::getifaddrs(&list), 0);
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(list, &::freeifaddrs);
  for (const ifaddrs* item = list; item != nullptr; item = item->ifa_next) {
    if (item->ifa_addr == nullptr) {
      continue;
    }
    if (item->ifa_addr->sa_family == AF_INET) {
      sockaddr_in v4{};
      std::memcpy(&v4, item->ifa_addr, sizeof v4);
      const std::string own = text_of(AF_INET, &v4.sin_addr);
      std::array<unsigned char, 16> carried{0x20, 0x02};  // 6to4
      std::memcpy(&carried[2], &v4.sin_addr, 4);
      for (const std::string& form :
           {own, "::ffff:" + own, "64:ff9b::" + own, text_of(AF_INET6, carried.data())}) {
        EXPECT_NE(classify(address(form).get()), AddressClass::private_address) << form;
        EXPECT_NE(classify(address(form).get()), AddressClass::public_address) << form;
      }
    } else if (item->ifa_addr->sa_family == AF_INET6) {
      sockaddr_in6 v6{};
      std::memcpy(&v6, item->ifa_addr, sizeof v6);
      const std::string own = text_of(AF_INET6, &v6.sin6_addr);
      EXPECT_NE(classify(address(own).get()), AddressClass::private_address) << own;
      EXPECT_NE(classify(address(own).get()), AddressClass::public_address) << own;
    }
  }
}

}  // namespace
}  // namespace builder::adapters::network
