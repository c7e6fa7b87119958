#include "adapters/buildkit/diagnosis/secret_mounts.hpp"

#include <gtest/gtest.h>

namespace builder::adapters::buildkit {
namespace {

class SecretMountsTest : public testing::Test {
 protected:
  static SecretMounts mounts_of(const std::string& token, const std::string& key = "k") {
    return SecretMounts(
        {.secrets = {{"TOKEN", Secret(token)}, {"OTHER", Secret("o")}}, .key = Secret(key)});
  }

  /// The version of TOKEN with its slash.
  [[nodiscard]] static std::string version_in(const SecretMounts& mounts) {
    const std::string line = mounts.with_versions("RUN --mount=type=secret,id=TOKEN x");
    const std::size_t begin = line.find("id=") + 3;
    return line.substr(begin, line.find("TOKEN") - begin);
  }

  const SecretMounts mounts_ = mounts_of("value");
  const std::string version_ = version_in(mounts_);
};

TEST_F(SecretMountsTest, TheVersionIsThatOfTheValueAndTheService) {
  EXPECT_EQ(version_.size(), 18u) << version_;
  EXPECT_EQ(version_in(mounts_of("value")), version_);
  EXPECT_NE(version_in(mounts_of("new value")), version_);
  EXPECT_NE(version_in(mounts_of("value", "another service")), version_);
  EXPECT_FALSE(version_.contains("value"));
}

TEST_F(SecretMountsTest, IdsInPlainLettersGetIt) {
  const std::string id = "id=" + version_ + "TOKEN";
  const std::vector<std::pair<std::string, std::string>> table{
      {"RUN --mount=type=secret,id=TOKEN npm ci", "RUN --mount=type=secret," + id + " npm ci"},
      {"run --mount=id=TOKEN,type=secret,required=true npm ci",
       "run --mount=" + id + ",type=secret,required=true npm ci"},
      {"RUN --network=none --mount=type=secret,source=TOKEN,target=/t x",
       "RUN --network=none --mount=type=secret,source=" + version_ + "TOKEN,target=/t x"},
      {"RUN --mount=type=secret,id=TOKEN,env=TOKEN x",
       "RUN --mount=type=secret," + id + ",env=TOKEN x"},
      {"RUN --mount=type=secret,target=/a/TOKEN x",
       "RUN --mount=type=secret,target=/a/TOKEN," + id + " x"},
      {"RUN \\\n  --mount=type=secret,id=TOKEN \\\n  # why\n\n  --mount=type=cache,target=/c \\\n"
       "  x --mount=type=secret,id=TOKEN\n",
       "RUN \\\n  --mount=type=secret," + id +
           " \\\n  # why\n\n  --mount=type=cache,target=/c \\\n"
           "  x --mount=type=secret,id=TOKEN\n"},
      {"# escape=`\nRUN `\n--mount=type=secret,id=TOKEN `\nx",
       "# escape=`\nRUN `\n--mount=type=secret," + id + " `\nx"},
      {"RUN --mount=type=secret,id=TOKEN x\r\nRUN y\r\n",
       "RUN --mount=type=secret," + id + " x\r\nRUN y\r\n"},
  };
  for (const auto& [written, sent] : table) {
    EXPECT_EQ(mounts_.with_versions(written), sent);
    EXPECT_EQ(mounts_.without_versions(sent).contains(version_), false);
  }
}

TEST_F(SecretMountsTest, EverythingElseStaysAsItIs) {
  for (const char* text :
       {"RUN --mount=type=secret,id=UNKNOWN x",
        "RUN --mount=type=cache,id=TOKEN,target=/c x",
        "RUN --mount=type=secret,id=$NAME x",
        "RUN --mount=type=secret,id=\"TOKEN\" x",
        "RUN --mount=type=secret,id=TOKEN,source=OTHER x",
        "RUN --mount=type=secret x",
        "RUN echo --mount=type=secret,id=TOKEN",
        "ENV A=--mount=type=secret,id=TOKEN",
        "# RUN --mount=type=secret,id=TOKEN x\nFROM a",
        "COPY <<EOF /a\nRUN --mount=type=secret,id=TOKEN x\nEOF\n",
        "RUN --mount=type=secret,id=TOKEN <<EOF\nRUN --mount=type=secret,id=TOKEN x\nEOF\n",
        "COPY <<File.tpl /a\nRUN --mount=type=secret,id=TOKEN x\nFile.tpl\n",
        "RUN --mount=type=secret,type=bind,source=TOKEN,target=/t x",
        "RUN -- --mount=type=secret,id=TOKEN x",
        "RUN",
        "RUN --",
        "",
        "\n\n",
        "secret",
        "RUN \\"}) {
    EXPECT_EQ(mounts_.with_versions(text), text);
  }
  const SecretMounts none({});
  EXPECT_EQ(none.with_versions("RUN --mount=type=secret,id=TOKEN x"),
            "RUN --mount=type=secret,id=TOKEN x");
}

TEST_F(SecretMountsTest, WhatMayStillAskByThePlainNameIsKnown) {
  for (const char* text :
       {"RUN --mount=type=secret,id=$NAME x", "RUN --mount=type=secret,id=\"TOKEN\" x",
        "RUN --mount=type=SECRET,id=TOKEN x", "RUN --mount=type=$T,id=TOKEN x",
        "RUN --mount=type=secret,\\\n  id=TOKEN x", "ONBUILD RUN --mount=type=secret,id=TOKEN x",
        "RUN --mount=type=secret,id=TOKEN,target=$HOME/.npmrc x",
        "RUN --mount=type=secret,id=TOKEN <<EOF\nx\nEOF\n",
        "RUN --mount='type=secret,id=TOKEN' x"}) {
    EXPECT_TRUE(mounts_.leaves_some(mounts_.with_versions(text))) << text;
  }
  for (const char* text :
       {"RUN --mount=type=secret,id=TOKEN --mount=type=cache,target=/c x", "RUN echo secret",
        "RUN --mount=type=secret,id=TOKEN x\nRUN --mount=type=secret,target=/OTHER x"}) {
    EXPECT_FALSE(mounts_.leaves_some(mounts_.with_versions(text))) << text;
  }
  EXPECT_FALSE(SecretMounts({}).leaves_some("RUN --mount=type=secret,id=$A x"));
  EXPECT_TRUE(mounts_.is_plain("TOKEN"));
  EXPECT_FALSE(mounts_.is_plain(version_ + "TOKEN"));
  EXPECT_NE(mounts_.fingerprint(), mounts_of("another").fingerprint());
}

TEST_F(SecretMountsTest, NobodyReadsIt) {
  EXPECT_EQ(mounts_.without_versions("[2/2] RUN --mount=type=secret,id=" + version_ + "TOKEN x /y"),
            "[2/2] RUN --mount=type=secret,id=TOKEN x /y");
  EXPECT_EQ(mounts_.without_versions(version_ + version_ + "TOKEN"), "TOKEN");
  EXPECT_EQ(mounts_.without_versions("/"), "/");
  EXPECT_EQ(mounts_.without_versions("v0123456789abcdef/TOKEN"), "v0123456789abcdef/TOKEN");
}

TEST_F(SecretMountsTest, TheSessionKnowsBothNames) {
  const auto secrets = mounts_.for_session();
  EXPECT_EQ(secrets.size(), 4u);
  EXPECT_EQ(secrets.at("TOKEN").reveal(), "value");
  EXPECT_EQ(secrets.at(version_ + "TOKEN").reveal(), "value");
}

}  // namespace
}  // namespace builder::adapters::buildkit
