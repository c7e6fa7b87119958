#include "adapters/network/resolver.hpp"

#include "adapters/network/address_class.hpp"
#include "fakes/thread_limit.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::network {
namespace {

TEST(Resolver, ReadsEveryFormOfALiteralAddress) {
  Resolver resolver;
  for (const char* host :
       {"127.0.0.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.1", "::1", "::ffff:127.0.0.1"}) {
    const auto found = resolver.lookup(host, {});
    ASSERT_TRUE(found) << host;
    ASSERT_EQ(found->size(), 1U) << host;
    EXPECT_EQ(classify(found->front().get()), AddressClass::loopback) << host;
  }
}

TEST(Resolver, FindsALocalName) {
  Resolver resolver;
  const auto found = resolver.lookup("localhost", {});
  ASSERT_TRUE(found);
  EXPECT_EQ(classify(found->front().get()), AddressClass::loopback);
}

TEST(Resolver, LeavesTheLookupWhenTheJobIsStopped) {
  Resolver resolver;
  std::stop_source source;
  source.request_stop();
  const auto found =
      resolver.lookup("name.invalid", {.deployment_id = {}, .stop = source.get_token()});
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::cancelled);
}

TEST(Resolver, WithoutAThreadToBeHadSaysSo) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto look = [] {
    Resolver resolver;
    const auto found = resolver.lookup("name.invalid", {});
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind, ErrorKind::unavailable);
  };
  EXPECT_EXIT(fakes::without_threads(look), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace builder::adapters::network
