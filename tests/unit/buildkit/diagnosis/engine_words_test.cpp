#include "adapters/buildkit/diagnosis/engine_words.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::buildkit {
namespace {

// Recorded from Engine 20.10 and BuildKit 0.34, whose data lies below /d.
TEST(EngineWords, PathsOfTheEnginesDiskAreTakenOut) {
  for (
      const auto& [said, shown] : std::vector<std::pair<std::string, std::string>>{
          {"lstat /d/tmp/buildkit-mount4012113753/app: no such file or directory",
           "lstat app: no such file or directory"},
          {"mkdir /d/overlay2/l48mmv6wap02iafcohsdurx2f/merged/x: not a directory",
           "mkdir /x: not a directory"},
          {"cannot copy to non-directory: "
           "/d/root/runc-overlayfs/cachemounts/buildkit1500719651/f/a",
           "cannot copy to non-directory: /f/a"},
          {"runc run failed: unable to start container process: error during container init: error "
           "mounting \"/d/tmp/buildkit-mount2322447404/a.txt\" to rootfs at \"/bin/sh/x\": open "
           "o_path procfd: open /d/buildkit/executor/6w1bqtx946xf3rnsg9bi8bvna/rootfs/bin/x: not a "
           "directory",
           "runc run failed: unable to start container process: error during container init: error "
           "mounting \"a.txt\" to rootfs at \"/bin/sh/x\": open o_path procfd: open /bin/x: not a "
           "directory"},
          {"open /d/root/runc-overlayfs/snapshots/snapshots/12/fs/etc/x: permission denied",
           "open /etc/x: permission denied"},
          {"open /var/lib/docker/tmp/GetImageBlob12: permission denied",
           "open (a file of the engine): permission denied"},
          {"failed to calculate checksum of ref "
           "wrnrbcagggxl8n6c337pyr69a::vx0dvc9t4amufwcvf0rc5pfmh: \"/app\": not found",
           "failed to calculate checksum: \"/app\": not found"},
          {"failed to prepare h2brkj5jn16h75ybpflgw87kd: max depth exceeded",
           "failed to prepare: max depth exceeded"},
          {"open /d/overlay2/ab", "open /"},
          {"open /usr/share/docker/x \"a/b\" = /c, d", "open /usr/share/docker/x \"a/b\" = /c, d"},
          {"mounts [/var/lib/docker/tmp/a /d/overlay2/l/diff/x] failed\nno /y",
           "mounts [(a file of the engine) /x] failed\nno /y"},
          {"", ""}}) {
    EXPECT_EQ(without_engine_paths(said), shown);
  }
}

TEST(EngineWords, TheCauseStandsBehindTheCommand) {
  EXPECT_EQ(cause_of("executor failed running [/bin/sh -c [ a ]: b]: exit code: 1"),
            "exit code: 1");
  EXPECT_EQ(cause_of("executor failed running [x]: network bridge not found"),
            "network bridge not found");
  EXPECT_EQ(cause_of("process \"/bin/sh -c x\" did not complete successfully: exit code: 2"),
            "exit code: 2");
  EXPECT_EQ(cause_of("anything"), "anything");
}

}  // namespace
}  // namespace builder::adapters::buildkit
