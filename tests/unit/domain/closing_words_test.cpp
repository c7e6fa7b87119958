#include "domain/closing_words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::domain {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

TEST(ClosingWords, SayWhatTookTheTimeAndTheBytes) {
  BuildFigures figures{
      .size = 57'300'000, .context_bytes = 814, .pushed_bytes = 12'300, .steps = {}};
  figures.steps.add("[internal] load build context", 9s, false);
  figures.steps.add("[1/5] FROM busybox", 70s, true);
  figures.steps.add("[2/5] RUN a", 1'500ms, false);
  figures.steps.add("[3/5] RUN b\x1b[31m", 72s, false);
  figures.steps.add("[4/5] RUN c", 1'500ms, false);
  figures.steps.add("[5/5] RUN d", 1'400ms, false);
  EXPECT_THAT(closing_rows(figures),
              ElementsAre("size     57.3 MB", "context  814 B", "pushed   12.3 kB",
                          "steps    5, 1 of them cached (20 %)", "slowest   1m 12s  [3/5] RUN b",
                          "            1.5s  [2/5] RUN a", "            1.5s  [4/5] RUN c"));
}

TEST(ClosingWords, SayNothingOfWhatIsNotKnownOrNotWorthTelling) {
  EXPECT_THAT(closing_rows({}), ElementsAre());
  BuildFigures figures;
  figures.steps.add("[1/1] RUN a", 99ms, false);
  EXPECT_THAT(closing_rows(figures), ElementsAre("steps    1"));
}

TEST(ClosingWords, SayHowLargeTheImageIsAndWhatIsNew) {
  const DeploymentId first("d1");
  const DeploymentId second("d2");
  const ImageLayers one{{"sha256:a", 184'000'000}, {"sha256:b", 1'000}};
  const ImageLayers two{{"sha256:a", 184'000'000}, {"sha256:c", 3'100'000}};
  const auto row = [](const ImageSize& size) { return closing_rows({.packed = size}).at(0); };
  EXPECT_EQ(row(size_of(one, read_last_layers(""), first)), "size     184.0 MB compressed");
  const LastLayers last = read_last_layers(write_last_layers(first, one));
  EXPECT_EQ(row(size_of(two, last, second)), "size     187.1 MB compressed, 3.1 MB new");
  EXPECT_EQ(row(size_of(one, last, second)), "size     184.0 MB compressed, nothing new");
  EXPECT_EQ(row(size_of(one, last, first)), "size     184.0 MB compressed")
      << "another attempt of the same deployment";
  EXPECT_EQ(row(size_of({{"sha256:d", 7}}, last, second)), "size     7 B compressed, 7 B new");
  EXPECT_TRUE(closing_rows({.packed = size_of({}, last, second)}).empty()) << "not known, not said";
  EXPECT_TRUE(read_last_layers("garbage").digests.empty());
}

}  // namespace
}  // namespace builder::domain
