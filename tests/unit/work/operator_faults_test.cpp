#include "work/operator_faults.hpp"

#include <gtest/gtest.h>

namespace builder::work {
namespace {

using namespace std::chrono_literals;

const domain::DeploymentId k_first("d1");
const domain::DeploymentId k_second("d2");
const domain::ServiceId k_service("s1");
const domain::ServiceId k_other("s2");

Error fault() {
  return Error{.kind = ErrorKind::denied, .message = "no"}.for_operator("AWS_PROFILE");
}

TEST(OperatorFaults, PauseAndSayWhere) {
  OperatorFaults faults(5s);
  EXPECT_EQ(faults.reason(), "");
  EXPECT_TRUE(faults.met(k_first, k_service, fault()).is_first);
  EXPECT_EQ(faults.reason(), "no (look at AWS_PROFILE)");
  EXPECT_GT(faults.until(), std::chrono::steady_clock::now());
  EXPECT_FALSE(faults.met(k_first, k_service, fault()).is_first) << "its customer has been told";
}

TEST(OperatorFaults, BuildsAtOnceMeetOneFault) {
  OperatorFaults faults(5s);
  faults.met(k_first, k_service, fault());
  const SteadyTime until = faults.until();
  EXPECT_TRUE(faults.met(k_second, k_other, fault()).is_first);
  EXPECT_EQ(faults.until(), until);
  EXPECT_EQ(faults.count(), 2);
}

TEST(OperatorFaults, OnlyADeploymentThatMetOneShowsThatItIsMended) {
  OperatorFaults faults(5s);
  faults.met(k_first, k_service, fault());
  faults.published(k_second, k_other);
  EXPECT_NE(faults.reason(), "");
  faults.published(k_first, k_service);
  EXPECT_EQ(faults.reason(), "");
}

Error fault_of_one() {
  Error error = fault();
  error.of_one_service = true;
  return error;
}

TEST(OperatorFaults, AServicesOwnHoldsUpItsJobAlone) {
  OperatorFaults faults(5s);
  const auto met = faults.met(k_first, k_service, fault_of_one());
  EXPECT_TRUE(met.is_first);
  EXPECT_GT(met.hold, 4s);
  EXPECT_LE(met.hold, 5s);
  EXPECT_EQ(faults.until(), SteadyTime{});
  EXPECT_EQ(faults.reason(), "");
  EXPECT_EQ(faults.count(), 1);
  EXPECT_EQ(faults.met(k_second, k_service, fault()).hold, 0s);
  EXPECT_EQ(faults.reason(), "no (look at AWS_PROFILE)");
}

TEST(OperatorFaults, WhatSeveralServicesMeetInARowAllMeet) {
  OperatorFaults faults(5s);
  const auto meet = [&](const std::string& name) {
    return faults.met(domain::DeploymentId(name), domain::ServiceId(name), fault_of_one());
  };
  meet("a");
  meet("b");
  meet("b");
  EXPECT_EQ(faults.reason(), "");
  faults.published(k_first, k_service);
  meet("a");
  meet("b");
  EXPECT_EQ(faults.reason(), "") << "another was published between";
  EXPECT_GT(meet("c").hold, 0s);
  EXPECT_EQ(faults.reason(), "no (look at AWS_PROFILE)");
  faults.published(k_first, k_service);
  EXPECT_EQ(faults.reason(), "");
}

TEST(OperatorFaults, NotMoreJobsAreHeldThanThereAreThreadsFor) {
  OperatorFaults faults(5s);
  for (int i = 0; i < 32; ++i) {
    const std::string name = "s" + std::to_string(i);
    EXPECT_GT(faults.met(domain::DeploymentId(name), domain::ServiceId(name), fault_of_one()).hold,
              0s);
  }
  EXPECT_EQ(faults.met(k_first, domain::ServiceId("more"), fault_of_one()).hold, 0s);
  EXPECT_NE(faults.reason(), "");
}

}  // namespace
}  // namespace builder::work
