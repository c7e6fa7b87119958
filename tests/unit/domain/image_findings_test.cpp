#include "domain/image_findings.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace builder::domain {
namespace {

using testing::HasSubstr;

TEST(ImageFindings, SayWhereAndWhatMadeIt) {
  EXPECT_EQ(
      finding_text({.place = ImageFinding::Place::file,
                    .secret = "variable TOKEN",
                    .where = "/app/config.json",
                    .layer = 3,
                    .line = 7,
                    .made_by = "COPY . ."},
                   5),
      "variable TOKEN in /app/config.json, layer 3 of 5 (line 7 of the Dockerfile: COPY . .)");
  EXPECT_EQ(finding_text({.place = ImageFinding::Place::file,
                          .secret = "variable TOKEN",
                          .layer = 1,
                          .made_by = "Application Layer"},
                         2),
            "variable TOKEN in what lies between files, layer 1 of 2 (Application Layer)");
  EXPECT_EQ(
      finding_text(
          {.place = ImageFinding::Place::environment, .secret = "git password", .where = "TOKEN"},
          2),
      "git password in the image's variable TOKEN");
  EXPECT_EQ(finding_text({.place = ImageFinding::Place::history,
                          .secret = "variable T",
                          .line = 3,
                          .made_by = "ARG"},
                         2),
            "variable T in the image's history (line 3 of the Dockerfile: ARG)");
}

TEST(ImageFindings, TheWorkersOwnFileIsToldInOneLine) {
  EXPECT_TRUE(is_env_file({.place = ImageFinding::Place::file, .where = "/app/.env"}));
  EXPECT_FALSE(is_env_file({.place = ImageFinding::Place::file, .where = "/app/x.env"}));
  EXPECT_FALSE(is_env_file({.place = ImageFinding::Place::label, .where = "/.env"}));
  std::vector<ImageFinding> findings;
  for (const char* name : {"A", "B", "C", "D", "E", "F", "A"}) {
    findings.push_back({.place = ImageFinding::Place::file,
                        .secret = std::string("variable ") + name,
                        .where = "/app/.env"});
  }
  EXPECT_THAT(env_file_text(findings),
              HasSubstr("holds /app/.env with secrets (A, B, C, D, E, …)"));
}

TEST(ImageFindings, EachSecretHasItsLine) {
  std::vector<ImageFinding> findings;
  for (int i = 0; i < 23; ++i) {
    for (int place = 0; place < (i < 2 ? 3 - i : 1); ++place) {
      findings.push_back({.place = ImageFinding::Place::label,
                          .secret = "variable " + std::to_string(i),
                          .where = "l"});
    }
  }
  const auto lines = warning_lines(findings, 1);
  ASSERT_EQ(lines.size(), 21U);
  EXPECT_EQ(lines[0],
            "Secret in the image: variable 0 in the image's label l, and in 2 more places");
  EXPECT_EQ(lines[1],
            "Secret in the image: variable 1 in the image's label l, and in 1 more place");
  EXPECT_EQ(lines[2], "Secret in the image: variable 2 in the image's label l");
  EXPECT_EQ(lines[20], "Secrets in the image as well: variable 20, variable 21, variable 22");
  EXPECT_TRUE(warning_lines({}, 1).empty());
}

TEST(ImageFindings, AreRememberedByLayer) {
  const std::string digest = "sha256:" + std::string(64, 'a');
  const LayerNote note{.sought = "hash",
                       .layers = {{digest, {{.secret = "variable T", .path = "/app/\xC3\xA4\xFF"}}},
                                  {"sha256:" + std::string(64, 'b'), {}}},
                       .clean = {digest},
                       .told_of_env_file = true};
  const LayerNote read = read_layer_note(write_layer_note(note));
  EXPECT_EQ(read.sought, "hash");
  EXPECT_EQ(read.clean, note.clean);
  EXPECT_TRUE(read.told_of_env_file);
  ASSERT_EQ(read.layers.size(), 2U);
  EXPECT_EQ(read.layers.at(digest).at(0).secret, "variable T");
  EXPECT_EQ(read.layers.at(digest).at(0).path, "/app/\xC3\xA4\xEF\xBF\xBD");
}

TEST(ImageFindings, TheNewestImagesAreKnownToBeClean) {
  const auto digest = [](int number) { return fmt::format("sha256:{:064}", number); };
  LayerNote note;
  for (int i = 0; i < 30; ++i) {
    add_clean(note, digest(i));
  }
  add_clean(note, digest(25));
  ASSERT_EQ(note.clean.size(), 20U);
  EXPECT_EQ(note.clean[0], digest(25));
  EXPECT_EQ(note.clean[1], digest(29));
  EXPECT_EQ(note.clean.back(), digest(10));
}

TEST(ImageFindings, WhatIsNoNoteIsNothing) {
  for (const char* text :
       {"", "times 1\nxx", "[]", "{\"layers\": 3}", "{\"layers\": {\"x\": []}}",
        "{\"sought\": 1, \"told_of_env_file\": 3, \"layers\": {\"sha256:a\": 1}}"}) {
    const LayerNote note = read_layer_note(text);
    EXPECT_TRUE(note.layers.empty() && note.sought.empty() && !note.told_of_env_file) << text;
  }
  EXPECT_TRUE(read_layer_note(std::string(1 << 20, ' ') + "{\"sought\": \"a\"}").sought.empty());
}

}  // namespace
}  // namespace builder::domain
