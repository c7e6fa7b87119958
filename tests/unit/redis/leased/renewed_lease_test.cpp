#include "adapters/redis/leased/renewed_lease.hpp"

#include <gtest/gtest.h>

#include <stop_token>
#include <thread>

namespace builder::adapters::redis {
namespace {

using namespace std::chrono_literals;

TEST(RenewedLease, HoldsForThreeFifthsOfTheLeaseAfterABeat) {
  RenewedLease lease("e", 10s);
  EXPECT_FALSE(lease.holds()) << "no beat yet";
  lease.renew(RenewedLease::now());
  EXPECT_TRUE(lease.holds());
  lease.renew(RenewedLease::now() - 5'900ms);
  EXPECT_TRUE(lease.holds());
  lease.renew(RenewedLease::now() - 6s);
  EXPECT_FALSE(lease.holds());
}

TEST(RenewedLease, AWaiterGoesOnWithTheNextBeat) {
  RenewedLease lease("e", 1h);
  std::jthread beat([&] { lease.renew(RenewedLease::now()); });
  EXPECT_TRUE(lease.wait({}));
}

TEST(RenewedLease, AWaiterIsToldOfAStopAndOfTheLoss) {
  RenewedLease lease("e", 1h);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(lease.wait(stop.get_token()));
  std::jthread loss([&] { lease.lose(); });
  EXPECT_FALSE(lease.wait({}));
  lease.renew(RenewedLease::now());
  EXPECT_FALSE(lease.holds()) << "what was taken away does not come back";
}

}  // namespace
}  // namespace builder::adapters::redis
