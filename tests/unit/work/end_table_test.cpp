#include "work/end_table.hpp"

#include <gtest/gtest.h>

#include <array>

namespace builder::work {
namespace {

using ports::StopReason;
using report::Fate;
using report::Outcome;

constexpr std::array k_products{Product::image, Product::operators_fault, Product::out_of_time,
                                Product::failure};
constexpr std::array k_stops{StopReason::none,
                             StopReason::cancelled_by_user,
                             StopReason::superseded,
                             StopReason::silent,
                             StopReason::shutdown,
                             StopReason::host_full,
                             StopReason::host_full_again,
                             StopReason::lost_lease};

RunEnd end_of(Product product, StopReason stop = StopReason::none) {
  return decide_end(std::nullopt, product, stop);
}

TEST(EndTable, OfARunThatNothingStopped) {
  EXPECT_EQ(end_of(Product::image), (RunEnd{Outcome::builded, LastLine::success}));
  EXPECT_EQ(end_of(Product::failure), (RunEnd{Outcome::failed, LastLine::own}));
  EXPECT_EQ(end_of(Product::out_of_time), (RunEnd{Outcome::failed, LastLine::build_timeout}));
  EXPECT_EQ(end_of(Product::operators_fault),
            (RunEnd{Outcome::blocked, LastLine::operators_fault}));
}

TEST(EndTable, AnImageInTheRegistryIsReportedUnlessItIsNotWantedAnyMore) {
  for (const StopReason stop : k_stops) {
    const bool is_cancelled = stop == StopReason::cancelled_by_user;
    const bool is_superseded = stop == StopReason::superseded;
    EXPECT_EQ(end_of(Product::image, stop).outcome, is_cancelled    ? Outcome::cancelled
                                                    : is_superseded ? Outcome::superseded
                                                                    : Outcome::builded);
  }
}

TEST(EndTable, WithoutAnImageTheStopDecides) {
  for (const Product product : {Product::operators_fault, Product::out_of_time, Product::failure}) {
    const auto end = [product](StopReason stop) { return end_of(product, stop); };
    EXPECT_EQ(end(StopReason::cancelled_by_user), (RunEnd{Outcome::cancelled, LastLine::cancel}));
    EXPECT_EQ(end(StopReason::superseded), (RunEnd{Outcome::superseded, LastLine::cancel}));
    EXPECT_EQ(end(StopReason::silent), (RunEnd{Outcome::failed, LastLine::silence}));
    EXPECT_EQ(end(StopReason::shutdown), (RunEnd{Outcome::requeued, LastLine::none}));
    EXPECT_EQ(end(StopReason::host_full), (RunEnd{Outcome::requeued, LastLine::disk_short}));
    EXPECT_EQ(end(StopReason::host_full_again), (RunEnd{Outcome::failed, LastLine::disk_full}));
    EXPECT_EQ(end(StopReason::lost_lease), (RunEnd{Outcome::lost, LastLine::none}));
  }
}

TEST(EndTable, WhatWasNeverAnnouncedEndsAsThePlatformsAnswerSays) {
  for (const Product product : k_products) {
    for (const StopReason stop : k_stops) {
      const auto outcome = [&](ErrorKind error) {
        return decide_end(error, product, stop).outcome;
      };
      EXPECT_EQ(outcome(ErrorKind::not_found), Outcome::gone);
      EXPECT_EQ(outcome(ErrorKind::denied), Outcome::refused);
      EXPECT_EQ(outcome(ErrorKind::conflict), Outcome::lost);
      EXPECT_EQ(outcome(ErrorKind::unavailable), Outcome::requeued);
      EXPECT_EQ(outcome(ErrorKind::timed_out), Outcome::requeued);
      EXPECT_EQ(outcome(ErrorKind::internal), Outcome::requeued);
    }
  }
}

TEST(EndTable, SaysWhatBecomesOfTheJob) {
  for (const Outcome outcome : {Outcome::builded, Outcome::failed, Outcome::cancelled,
                                Outcome::superseded, Outcome::gone}) {
    EXPECT_EQ(fate_of(outcome), Fate::ended) << to_string(outcome);
  }
  for (const Outcome outcome : {Outcome::requeued, Outcome::refused, Outcome::blocked}) {
    EXPECT_EQ(fate_of(outcome), Fate::goes_back) << to_string(outcome);
  }
  EXPECT_EQ(fate_of(Outcome::lost), Fate::anothers);
}

}  // namespace
}  // namespace builder::work
