#include "adapters/image_search/unpacker.hpp"

#include "packed.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace builder::adapters::image_search {
namespace {

using testing::HasSubstr;

std::string some_text(std::size_t size) {
  std::mt19937 random(7);
  std::string text;
  while (text.size() < size) {
    text += "line " + std::to_string(random() % 5'000) + (random() % 3 == 0 ? "\n" : " ");
  }
  return text;
}

Result<std::string> unpacked(std::string_view packed, std::size_t width) {
  std::string out;
  const auto unpacker = make_unpacker([&](std::string_view bytes) {
    out += bytes;
    return true;
  });
  for (std::size_t at = 0; at < packed.size(); at += width) {
    BUILDER_TRY(unpacker->feed(packed.substr(at, width)));
  }
  BUILDER_TRY(unpacker->finish());
  return out;
}

TEST(Unpacker, ReadsEveryKindHoweverItIsCut) {
  const std::string text = some_text(300'000);
  const std::string small = some_text(2'000);
  for (const std::string& packed : {text, gzipped(text), zstd_packed(text)}) {
    for (const std::size_t width : {std::size_t{7}, std::size_t{4'096}, packed.size()}) {
      const auto out = unpacked(packed, width);
      ASSERT_TRUE(out) << out.error().message;
      EXPECT_TRUE(*out == text) << width;
    }
  }
  const std::string rows = gzipped(small) + gzipped("") + gzipped(text) + gzipped(small);
  for (const std::size_t width : {std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{5},
                                  std::size_t{13}, std::size_t{1'000}, rows.size()}) {
    const auto out = unpacked(rows, width);
    ASSERT_TRUE(out) << width << ": " << out.error().message;
    EXPECT_TRUE(*out == small + text + small) << width;
  }
  const auto frames = unpacked(zstd_packed(small) + zstd_packed(small), 1);
  ASSERT_TRUE(frames);
  EXPECT_TRUE(*frames == small + small);
  EXPECT_EQ(unpacked("", 1).value(), "");
  EXPECT_EQ(unpacked("abc", 1).value(), "abc");
  EXPECT_EQ(unpacked(gzipped("abc") + std::string(700, '\0'), 3).value(), "abc");
}

TEST(Unpacker, ReadsWhatFillsItsBuffersExactly) {
  for (const std::size_t size : {65'536U, 131'072U, 393'216U, 458'752U}) {
    const std::string text = some_text(size).substr(0, size);
    for (const std::string& packed : {gzipped(text), zstd_packed(text)}) {
      const auto out = unpacked(packed, packed.size());
      ASSERT_TRUE(out) << size << ": " << out.error().message;
      EXPECT_TRUE(*out == text);
    }
  }
}

TEST(Unpacker, SaysWhatIsDamagedOrCutShort) {
  const std::string text = some_text(100'000);
  for (const std::string& packed : {gzipped(text), zstd_packed(text)}) {
    EXPECT_EQ(unpacked(packed.substr(0, packed.size() - 5), 4'096).error().kind,
              ErrorKind::invalid_input);
    EXPECT_FALSE(unpacked(packed + "and more", 4'096));
    std::string damaged = packed;
    for (std::size_t i = 5'000; i < 5'050; ++i) {
      damaged[i] = static_cast<char>(damaged[i] ^ 0x55);
    }
    const auto out = unpacked(damaged, 4'096);
    EXPECT_TRUE(!out || *out != text);
  }
}

TEST(Unpacker, OfGzipTheSumIsChecked) {
  std::string packed = gzipped("some content");
  packed[packed.size() - 6] = static_cast<char>(packed[packed.size() - 6] ^ 1);
  EXPECT_FALSE(unpacked(packed, 1'000));
}

TEST(Unpacker, TakesNoWindowThatNeedsMuchMemory) {
  // A frame of one raw block, whose head asks for a window of 2^log bytes.
  const auto frame = [](unsigned log) {
    return std::string("\x28\xB5\x2F\xFD\x00", 5) + static_cast<char>((log - 10) << 3U) +
           std::string("\x19\x00\x00", 3) + "abc";
  };
  EXPECT_EQ(unpacked(frame(25), 100).value(), "abc");
  EXPECT_THAT(unpacked(frame(27), 100).error().message, HasSubstr("memory"));
}

TEST(Unpacker, EndsWhenNothingMoreIsWanted) {
  const std::string bomb = gzipped(std::string(50'000'000, '\0'));
  std::size_t taken = 0;
  const auto unpacker = make_unpacker([&](std::string_view bytes) {
    taken += bytes.size();
    return taken < 1'000'000;
  });
  EXPECT_EQ(unpacker->feed(bomb).error().kind, ErrorKind::cancelled);
  EXPECT_LT(taken, 1'200'000U);
}

}  // namespace
}  // namespace builder::adapters::image_search
