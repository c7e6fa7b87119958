#include "adapters/redis/leased/epoch_lease.hpp"

#include <gtest/gtest.h>

#include <stop_token>
#include <thread>

namespace builder::adapters::redis {
namespace {

using namespace std::chrono_literals;

TEST(EpochLease, HoldsForThreeFifthsOfTheLeaseAfterABeat) {
  EpochLease lease("e", 10s);
  EXPECT_FALSE(lease.holds()) << "no beat yet";
  lease.renew(EpochLease::now());
  EXPECT_TRUE(lease.holds());
  lease.renew(EpochLease::now() - 5'900ms);
  EXPECT_TRUE(lease.holds());
  lease.renew(EpochLease::now() - 6s);
  EXPECT_FALSE(lease.holds());
}

TEST(EpochLease, AWaiterGoesOnWithTheNextBeat) {
  EpochLease lease("e", 1h);
  std::jthread beat([&] { lease.renew(EpochLease::now()); });
  EXPECT_TRUE(lease.wait({}));
}

TEST(EpochLease, AWaiterIsToldOfAStopAndOfTheLoss) {
  EpochLease lease("e", 1h);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(lease.wait(stop.get_token()));
  std::jthread loss([&] { lease.lose(); });
  EXPECT_FALSE(lease.wait({}));
  lease.renew(EpochLease::now());
  EXPECT_FALSE(lease.holds()) << "what was taken away does not come back";
}

}  // namespace
}  // namespace builder::adapters::redis
