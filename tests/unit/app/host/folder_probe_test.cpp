#include "app/host/folder_probe.hpp"

#include "base/temp_dir.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>

namespace builder::app {
namespace {

TEST(FolderProbe, MakesWhatIsMissingAndLeavesNothing) {
  const TempDir parent = TempDir::make("/tmp", "probe-").value();
  EXPECT_TRUE(probe_folder(parent.path() + "/a/b"));
  EXPECT_TRUE(probe_folder(parent.path() + "/a/b"));
  const auto removed = ::rmdir((parent.path() + "/a/b").c_str());
  EXPECT_EQ(removed, 0) << "it is empty";
}

TEST(FolderProbe, SaysWhatIsInTheWay) {
  const TempDir parent = TempDir::make("/tmp", "probe-").value();
  std::ofstream(parent.path() + "/file") << "x";
  const auto probed = probe_folder(parent.path() + "/file");
  ASSERT_FALSE(probed);
  EXPECT_TRUE(probed.error().message.ends_with("Not a directory")) << probed.error().message;
}

TEST(FolderProbe, SeesThatNothingCanBeWritten) {
  const auto probed = probe_folder("/proc/self");
  EXPECT_FALSE(probed);
}

}  // namespace
}  // namespace builder::app
