#include "adapters/buildkit/client/downloads.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace builder::adapters::buildkit {
namespace {

using nlohmann::json;

const std::string k_sum(64, 'a');

json download(const std::string& url) {
  return {{"uri", url}, {"digest", {{"sha256", k_sum}}}};
}

/// As BuildKit 0.34 writes it.
json record_of(const json& dependencies, const json& network = {{"mode", "proxy"}}) {
  return {{"buildDefinition", {{"resolvedDependencies", dependencies}}},
          {"runDetails", {{"metadata", {{"buildkit_metadata", {{"network", network}}}}}}}};
}

RecordedDownloads read(const json& record) {
  RecordedDownloads downloads;
  EXPECT_TRUE(read_record(record.dump(), downloads)) << record;
  return downloads;
}

std::vector<std::string> urls_of(const RecordedDownloads& downloads) {
  std::vector<std::string> urls;
  for (const domain::Download& file : downloads.files) {
    urls.push_back(file.url);
  }
  return urls;
}

TEST(Downloads, AreTakenWithTheirDigests) {
  const auto downloads = read(record_of(
      {download("https://e.test/b"),
       download("http://e.test:8080/a"),
       {{"uri", "pkg:docker/node@22?platform=linux%2Famd64"}, {"digest", {{"sha256", k_sum}}}},
       {{"uri", "https://git.test/o/r.git"}, {"digest", {{"sha1", std::string(40, 'b')}}}},
       {{"uri", "ssh://git@git.test/o/r.git"}, {"digest", {{"sha1", std::string(40, 'b')}}}}}));
  EXPECT_EQ(downloads.files,
            (std::set<domain::Download>{{"http://e.test:8080/a", "sha256:" + k_sum},
                                        {"https://e.test/b", "sha256:" + k_sum}}));
  EXPECT_TRUE(downloads.has_proxy);
  EXPECT_TRUE(downloads.is_whole);
}

TEST(Downloads, HaveNoUserQueryOrFragment) {
  const auto downloads =
      read(record_of({download("https://user:pa%40ss@e.test/a?token=secret#part"),
                      download("https://u@v@e.test/@scope/b?x=http://y@z/"),
                      download("https://e.test?token=secret"), download("https://e.test#x/y@z")}));
  EXPECT_EQ(
      urls_of(downloads),
      (std::vector<std::string>{"https://e.test", "https://e.test/@scope/b", "https://e.test/a"}));
  EXPECT_TRUE(downloads.is_whole);
}

TEST(Downloads, OfOneAddressWithTwoContentsAreTwo) {
  json other = download("https://e.test/a?page=2");
  other["digest"]["sha256"] = std::string(64, 'b');
  EXPECT_EQ(read(record_of({download("https://e.test/a?page=1"), other})).files.size(), 2U);
}

TEST(Downloads, WhatIsNoAddressOrHasNoDigestIsLeftOutAndMissed) {
  for (const json& bad : std::initializer_list<json>{
           download("https://"),
           download("http:///a"),
           download("https://u:p@/a"),
           download("https://u:p@?a"),
           download("https://e.test/a b"),
           download("https://e.test/\x01"),
           download("https://e.test/<script>"),
           download("https://e.test/" + std::string(3'000, 'a')),
           download(""),
           {{"uri", "https://e.test/a"}},
           {{"uri", "https://e.test/a"}, {"digest", "sha256"}},
           {{"uri", "https://e.test/a"}, {"digest", {{"sha256", 5}}}},
           {{"uri", "https://e.test/a"}, {"digest", {{"sha256", std::string(64, 'A')}}}},
           {{"uri", "https://e.test/a"}, {"digest", {{"sha256", "aa"}}}},
           {{"uri", 5}},
           json::array(),
           5,
           "https://e.test/a",
           nullptr}) {
    const auto downloads = read(record_of(json::array({bad})));
    EXPECT_TRUE(downloads.files.empty()) << bad;
    EXPECT_FALSE(downloads.is_whole) << bad;
  }
}

TEST(Downloads, ARequestThatFailedIsMissed) {
  const json failed{
      {"mode", "proxy"},
      {"proxy", {{"incomplete", json::array({{{"uri", "https://e.test/a?token=secret"}}})}}}};
  const auto downloads = read(record_of(json::array({download("https://e.test/b")}), failed));
  EXPECT_EQ(urls_of(downloads), std::vector<std::string>{"https://e.test/b"});
  EXPECT_FALSE(downloads.is_whole);
  const json strange{{"mode", "proxy"}, {"proxy", {{"incomplete", "none"}}}};
  EXPECT_FALSE(read(record_of(json::array(), strange)).is_whole);
  const json none{{"mode", "proxy"}, {"proxy", {{"incomplete", json::array()}}}};
  EXPECT_TRUE(read(record_of(nullptr, none)).is_whole);
}

TEST(Downloads, OnlyARecordThatNamesTheProxyHadIt) {
  for (const json& network : std::initializer_list<json>{
           {{"mode", "host"}}, {{"mode", 5}}, json::object(), json::array(), nullptr, "proxy"}) {
    EXPECT_FALSE(read(record_of(json::array(), network)).has_proxy) << network;
  }
  // Each platform has a record; one without a command knows nothing of a proxy.
  RecordedDownloads both;
  ASSERT_TRUE(read_record(record_of(json::array({download("https://e.test/a")})).dump(), both));
  ASSERT_TRUE(read_record(record_of(nullptr, nullptr).dump(), both));
  EXPECT_TRUE(both.has_proxy);
  EXPECT_TRUE(both.is_whole);
  EXPECT_EQ(both.files.size(), 1U);
}

TEST(Downloads, NotAllOfTooManyAreTaken) {
  json many = json::array();
  for (std::size_t i = 0; i < k_most_downloads; ++i) {
    many.push_back(download("https://e.test/" + std::to_string(i)));
  }
  EXPECT_TRUE(read(record_of(many)).is_whole);
  many.push_back(download("https://e.test/x"));
  const auto downloads = read(record_of(many));
  EXPECT_EQ(downloads.files.size(), k_most_downloads);
  EXPECT_FALSE(downloads.is_whole);
}

TEST(Downloads, WhatIsNoRecordSaysNothing) {
  const std::string deep =
      R"({"buildDefinition": )" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  const std::string large = record_of(json::array({download("https://e.test/a")})).dump() +
                            std::string(k_largest_record, ' ');
  for (const std::string& bad :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("5"),
        std::string("{}"), std::string(R"({"buildDefinition": []})"), deep, large}) {
    RecordedDownloads downloads;
    EXPECT_FALSE(read_record(bad, downloads)) << bad.substr(0, 50);
  }
}

}  // namespace
}  // namespace builder::adapters::buildkit
