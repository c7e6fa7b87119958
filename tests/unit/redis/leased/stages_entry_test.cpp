#include "adapters/redis/leased/stages_entry.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::redis {
namespace {

domain::Stages whole() {
  return {.commit = std::string(40, 'c'),
          .image_id = "sha256:" + std::string(64, '1'),
          .repository = "registry.test/deployra/s1",
          .digest = "sha256:" + std::string(64, '2'),
          .promoted = true};
}

TEST(StagesEntry, ComesBackAsItWas) {
  EXPECT_EQ(read_stages(write_stages(whole())), whole());
  EXPECT_EQ(write_stages({}), "{}");
  EXPECT_EQ(read_stages("{}"), domain::Stages{});
}

TEST(StagesEntry, WhatIsNoCommitOrDigestIsNotDone) {
  EXPECT_EQ(read_stages(""), domain::Stages{});
  EXPECT_EQ(read_stages("[1]"), domain::Stages{});
  EXPECT_EQ(read_stages(R"({"commit":"--upload-pack=x","pushed":"sha256:1","promoted":true})"),
            domain::Stages{});
  EXPECT_EQ(read_stages(R"({"commit":7,"built":null,"repository":[],"promoted":"yes"})"),
            domain::Stages{});
}

}  // namespace
}  // namespace builder::adapters::redis
