#include "adapters/network/address_class.hpp"

#include "fakes/address.hpp"

#include <gtest/gtest.h>

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
  };
  for (const auto& [text, expected] : table) {
    EXPECT_EQ(classify(address(text).get()), expected) << text;
  }
}

}  // namespace
}  // namespace builder::adapters::network
