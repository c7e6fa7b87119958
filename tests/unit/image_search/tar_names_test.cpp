#include "adapters/image_search/tar_names.hpp"

#include "packed.hpp"

#include <gtest/gtest.h>

#include <map>

namespace builder::adapters::image_search {
namespace {

struct Read {
  std::map<std::string, std::string> bytes;    ///< By the path.
  std::map<std::string, std::string> content;  ///< The same.
  std::string all;
};

Read read(std::string_view tar, std::size_t width) {
  Read out;
  TarNames names([&](std::string_view bytes, std::string_view path, TarNames::Part part) {
    out.bytes[std::string(path)] += bytes;
    if (part == TarNames::Part::header) {
      out.content[std::string(path)].clear();
    } else if (part == TarNames::Part::content) {
      out.content[std::string(path)] += bytes;
    }
    out.all += bytes;
  });
  for (std::size_t at = 0; at < tar.size(); at += width) {
    names.feed(tar.substr(at, width));
  }
  return out;
}

bool holds(const Read& out, const std::string& path, const std::string& content) {
  const auto found = out.bytes.find(path);
  return found != out.bytes.end() && found->second.contains(content);
}

TEST(TarNames, TellWhoseTheBytesAreHoweverTheyAreCut) {
  const std::string long_name = "a/" + std::string(300, 'n');
  const std::string pax = " path=" + long_name + "2\n";
  const std::string tar =
      tar_entry("etc/", "", '5') + tar_entry("etc/one", "first") +
      tar_entry("etc/two", std::string(600, '2')) +
      tar_entry("././@LongLink", long_name + '\0', 'L') + tar_entry(long_name, "long") +
      tar_entry("pax", std::to_string(pax.size() + 3) + pax, 'x') + tar_entry("short", "pax's") +
      tar_entry("link", "", '2') + tar_entry("g", "12 x=global\n", 'g') + tar_entry("last", "end") +
      tar_end();
  for (const std::size_t width :
       {std::size_t{1}, std::size_t{511}, std::size_t{512}, std::size_t{700}, tar.size()}) {
    const Read out = read(tar, width);
    EXPECT_TRUE(out.all == tar) << "every byte, in order";
    EXPECT_TRUE(holds(out, "etc/one", "first"));
    EXPECT_TRUE(holds(out, "etc/two", std::string(600, '2')));
    EXPECT_TRUE(holds(out, long_name, "long"));
    EXPECT_TRUE(holds(out, long_name + "2", "pax's"));
    EXPECT_TRUE(holds(out, "last", "end"));
    EXPECT_FALSE(out.bytes.contains("short"));
    EXPECT_EQ(out.content, (std::map<std::string, std::string>{{"etc/", ""},
                                                               {"etc/one", "first"},
                                                               {"etc/two", std::string(600, '2')},
                                                               {long_name, "long"},
                                                               {long_name + "2", "pax's"},
                                                               {"link", ""},
                                                               {"last", "end"}}));
  }
}

TEST(TarNames, PassOnWhatIsNoTar) {
  for (const std::string& bytes : {std::string("no tar at all "), std::string(5'000, 'x'),
                                   tar_entry("one", "first") + std::string(600, '\xFF') + "tail"}) {
    const Read out = read(bytes + std::string(512, 'z'), 100);
    EXPECT_TRUE(out.all == bytes + std::string(512, 'z') || out.all.size() >= bytes.size());
  }
  std::string huge = tar_entry("one", "first");
  huge.replace(124, 12, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
  EXPECT_EQ(read(huge, 64).all.size(), huge.size());
}

TEST(TarNames, KeepNoNameOfAnyLength) {
  const std::string tar =
      tar_entry("././@LongLink", std::string(1'000'000, 'n'), 'L') + tar_entry("short", "content");
  EXPECT_TRUE(holds(read(tar, 4'096), "short", "content"));
  const std::string records = tar_entry("pax", "99999999999999999999 path=x\n3 \n0 path=y\n", 'x') +
                              tar_entry("short", "content");
  EXPECT_TRUE(holds(read(records, 4'096), "short", "content"));
}

}  // namespace
}  // namespace builder::adapters::image_search
