#include "domain/advisories.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::domain {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Version, IsReadFromWhatProgramsSay) {
  EXPECT_EQ(parse_version("v0.34.2"), (Version{0, 34, 2}));
  EXPECT_EQ(parse_version("20.10.24+dfsg1"), (Version{20, 10, 24}));
  EXPECT_EQ(parse_version("1.4.0-rc.3"), (Version{1, 4, 0}));
  EXPECT_EQ(parse_version("2.39.5.windows.1"), (Version{2, 39, 5}));
  EXPECT_EQ(parse_version("0.8"), (Version{0, 8, 0}));
  EXPECT_EQ(parse_version("29.3-beta"), (Version{29, 3, 0}));
  for (const char* none : {"", "v", "v0.0.0+unknown", "dev", "1", "1.", "1.x", "99999999999.1.2"}) {
    EXPECT_FALSE(parse_version(none)) << none;
  }
}

TEST(Advisories, EachLineHasAFixOfItsOwn) {
  const auto holes = [](const char* version) { return advisories({"runc", version}).size(); };
  for (const char* good : {"1.2.8", "1.2.9", "1.3.3", "1.4.0-rc.3", "1.5.0", "2.0.0"}) {
    EXPECT_EQ(holes(good), 0) << good;
  }
  for (const char* bad : {"1.0.0-rc93", "1.1.5+ds1", "1.1.15", "1.2.7", "1.3.0", "1.3.2"}) {
    EXPECT_EQ(holes(bad), 1) << bad;
  }
}

TEST(Advisories, NameTheHoleAndWhatMendsIt) {
  EXPECT_THAT(advisories({"git", "2.39.5"}),
              ElementsAre(testing::AllOf(HasSubstr("git 2.39.5: CVE-2025-48384"),
                                         HasSubstr("fixed in 2.43.7, 2.44.4"))));
  EXPECT_THAT(advisories({"BuildKit", "v0.8"}), testing::SizeIs(2));
  EXPECT_THAT(advisories({"BuildKit", "v0.28.0"}), ElementsAre(HasSubstr("CVE-2026-33747")));
  EXPECT_THAT(advisories({"BuildKit", "v0.28.1"}), IsEmpty());
  EXPECT_THAT(advisories({"Docker Engine", "20.10.24+dfsg1"}), ElementsAre(HasSubstr("2023")));
  EXPECT_THAT(advisories({"Docker Engine", "29.1.0"}), IsEmpty());
}

TEST(Advisories, WhatDoesNotTellItsVersionIsNotTrusted) {
  EXPECT_THAT(advisories({"BuildKit", "v0.0.0+unknown"}), ElementsAre(HasSubstr("v0.0.0+unknown")));
  EXPECT_THAT(advisories({"git", ""}), ElementsAre(HasSubstr("does not tell its version")));
}

}  // namespace
}  // namespace builder::domain
