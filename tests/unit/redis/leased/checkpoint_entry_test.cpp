#include "adapters/redis/leased/checkpoint_entry.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::redis {
namespace {

domain::Checkpoint whole() {
  return {.commit = std::string(40, 'c'),
          .image_id = "sha256:" + std::string(64, '1'),
          .repository = "registry.test/deployra/s1",
          .digest = "sha256:" + std::string(64, '2'),
          .promoted = true};
}

TEST(CheckpointEntry, ComesBackAsItWas) {
  EXPECT_EQ(read_checkpoint(write_checkpoint(whole())), whole());
  EXPECT_EQ(write_checkpoint({}), "{}");
  EXPECT_EQ(read_checkpoint("{}"), domain::Checkpoint{});
}

TEST(CheckpointEntry, WhatIsNoCommitOrDigestIsNotDone) {
  EXPECT_EQ(read_checkpoint(""), domain::Checkpoint{});
  EXPECT_EQ(read_checkpoint("[1]"), domain::Checkpoint{});
  EXPECT_EQ(read_checkpoint(R"({"commit":"--upload-pack=x","pushed":"sha256:1","promoted":true})"),
            domain::Checkpoint{});
  EXPECT_EQ(read_checkpoint(R"({"commit":7,"built":null,"repository":[],"promoted":"yes"})"),
            domain::Checkpoint{});
}

}  // namespace
}  // namespace builder::adapters::redis
