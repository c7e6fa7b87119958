#include "pipeline/operator_faults.hpp"

#include <gtest/gtest.h>

namespace builder::pipeline {
namespace {

using namespace std::chrono_literals;

const domain::DeploymentId k_first("d1");
const domain::DeploymentId k_second("d2");

Error fault() {
  return Error{.kind = ErrorKind::denied, .message = "no"}.for_operator("AWS_PROFILE");
}

TEST(OperatorFaults, PauseAndSayWhere) {
  OperatorFaults faults;
  EXPECT_EQ(faults.reason(), "");
  EXPECT_TRUE(faults.met(k_first, fault()));
  EXPECT_EQ(faults.reason(), "no (look at AWS_PROFILE)");
  EXPECT_GT(faults.until(), std::chrono::steady_clock::now());
  EXPECT_FALSE(faults.met(k_first, fault())) << "its customer has been told";
}

TEST(OperatorFaults, BuildsAtOnceMeetOneFault) {
  OperatorFaults faults;
  faults.met(k_first, fault());
  const SteadyTime until = faults.until();
  EXPECT_TRUE(faults.met(k_second, fault()));
  EXPECT_EQ(faults.until(), until);
  EXPECT_EQ(faults.count(), 2);
}

TEST(OperatorFaults, OnlyADeploymentThatMetOneShowsThatItIsMended) {
  OperatorFaults faults;
  faults.met(k_first, fault());
  faults.published(k_second);
  EXPECT_NE(faults.reason(), "");
  faults.published(k_first);
  EXPECT_EQ(faults.reason(), "");
}

}  // namespace
}  // namespace builder::pipeline
