#include "adapters/image_search/image_search.hpp"

#include "base/text.hpp"

#include "packed.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <map>
#include <set>

namespace builder::adapters::image_search {
namespace {

using domain::ImageFinding;
using nlohmann::json;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Place = ImageFinding::Place;

const std::string k_token = "npm_7Hq2LzP9xWv4Tn8RkYb3";

/// A registry in memory that counts what is fetched.
class FakeRegistry final : public oci::Client {
 public:
  Result<> ping(const ports::JobContext&, const std::string&) override { return {}; }

  Result<oci::Manifest> manifest(const ports::JobContext&,
                                 const oci::Reference& reference) override {
    BUILDER_TRY_ASSIGN(std::string bytes, stored(reference.digest));
    return oci::Manifest{.bytes = std::move(bytes), .media_type = "m", .digest = reference.digest};
  }

  Result<oci::Descriptor> head(const ports::JobContext&, const oci::Reference&) override {
    return {};
  }

  Result<oci::Stored> put(const ports::JobContext&, const oci::Reference&,
                          const oci::Manifest&) override {
    return {};
  }

  Result<oci::Manifest> referrers(const ports::JobContext&, const oci::Reference&) override {
    return {};
  }

  Result<std::string> blob(const ports::JobContext&, const oci::Reference&,
                           const std::string& digest, std::size_t) override {
    return stored(digest);
  }

  Result<> stream_blob(const ports::JobContext&, const oci::Reference&, const std::string& digest,
                       const oci::BlobTaker& taker) override {
    BUILDER_TRY_ASSIGN(const std::string bytes, stored(digest));
    streamed.push_back(digest);
    for (int tries = 0; tries < 2; ++tries) {  // The first try is cut short.
      taker.begin();
      const std::size_t end = tries == 0 ? bytes.size() / 2 : bytes.size();
      for (std::size_t at = 0; at < end; at += 1'000) {
        if (!taker.take(
                std::string_view(bytes).substr(at, std::min<std::size_t>(1'000, end - at)))) {
          return failure(ErrorKind::internal, "not wanted");
        }
      }
    }
    return {};
  }

  Result<> push_blob(const ports::JobContext&, const oci::Reference&, const std::string&) override {
    return {};
  }

  std::string store(const std::string& bytes) {
    const std::string digest = "sha256:" + sha256_hex(bytes);
    blobs[digest] = bytes;
    return digest;
  }

  /// The digest of an image.
  std::string image(const std::vector<std::string>& layers, const json& config) {
    json manifest{{"config", {{"digest", store(config.dump())}}}, {"layers", json::array()}};
    for (const std::string& layer : layers) {
      manifest["layers"].push_back({{"digest", store(layer)}});
    }
    return store(manifest.dump());
  }

  std::map<std::string, std::string> blobs;
  std::vector<std::string> streamed;

 private:
  Result<std::string> stored(const std::string& digest) const {
    const auto found = blobs.find(digest);
    return found == blobs.end() ? Result<std::string>(failure(ErrorKind::not_found, "no " + digest))
                                : Result<std::string>(found->second);
  }
};

class ImageSearchTest : public testing::Test {
 protected:
  ports::ImageSearchReport search(const std::string& digest, std::string dockerfile = {}) {
    auto report = search_->search(
        job_, {.image = {.repository = {"registry/s"}, .tag = "d", .digest = digest},
               .sought = sought_,
               .known = known_,
               .dockerfile = [&] { return dockerfile; }});
    EXPECT_TRUE(report) << report.error().message;
    return report.value_or(ports::ImageSearchReport{});
  }

  static std::string layer(const std::string& path, const std::string& content) {
    return gzipped(tar_entry("other", std::string(5'000, 'o')) + tar_entry(path, content) +
                   tar_end());
  }

  static std::vector<std::string> texts(const ports::ImageSearchReport& report) {
    std::vector<std::string> lines;
    for (const ImageFinding& finding : report.findings) {
      lines.push_back(domain::finding_text(finding, report.layers));
    }
    return lines;
  }

  FakeRegistry registry_;
  std::unique_ptr<ports::ImageSearch> search_ = make_image_search(registry_);
  std::stop_source stop_;
  ports::JobContext job_{.deployment_id = domain::DeploymentId("d"),
                         .stop = stop_.get_token(),
                         .deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1)};
  domain::SoughtSecrets sought_{{{"variable TOKEN", Secret(k_token)}}};
  domain::FoundInLayers known_;
};

const json k_config{{"config", {{"Env", {"PATH=/bin"}}}},
                    {"history",
                     {{{"created_by", "ADD rootfs / # buildkit"}},
                      {{"created_by", "ENV A=1"}, {"empty_layer", true}},
                      {{"created_by", "COPY . /app # buildkit"}},
                      {{"created_by", "RUN |1 A=b /bin/sh -c make # buildkit"}}}}};
const std::string k_dockerfile = "FROM x\nENV A=1\nCOPY . /app\nRUN make\n";

TEST_F(ImageSearchTest, TellsPathLayerAndLine) {
  const std::string image = registry_.image(
      {layer("etc/base", "nothing"), layer("./app/config.json", "{\"t\": \"" + k_token + "\"}"),
       zstd_packed(tar_entry("app/out.js", base64_encode("x" + k_token + "y")))},
      k_config);
  const auto report = search(image, k_dockerfile);
  EXPECT_THAT(
      texts(report),
      ElementsAre(
          "variable TOKEN in /app/config.json, layer 2 of 3 (line 3 of the Dockerfile: COPY . "
          "/app)",
          "variable TOKEN in /app/out.js, layer 3 of 3 (line 4 of the Dockerfile: RUN make)"));
  EXPECT_EQ(report.found.size(), 3U);
  EXPECT_THAT(report.not_searched, IsEmpty());
  EXPECT_GT(report.bytes, 15'000U);
  EXPECT_THAT(texts(search(image)),
              Contains("variable TOKEN in /app/out.js, layer 3 of 3 (RUN make)"));
}

TEST_F(ImageSearchTest, FetchesNoLayerThatIsKnownAndTellsWhatItHolds) {
  const std::string base = layer("etc/base", "nothing");
  const std::string top = layer("app/x", k_token);
  const std::string image = registry_.image({base, top, top}, {{"config", json::object()}});
  known_ = search(image).found;
  EXPECT_EQ(registry_.streamed.size(), 2U) << "each once";
  const auto again =
      search(registry_.image({base, top, layer("app/y", "new")}, k_config), k_dockerfile);
  EXPECT_EQ(registry_.streamed.size(), 3U);
  EXPECT_THAT(
      texts(again),
      ElementsAre(
          "variable TOKEN in /app/x, layer 2 of 3 (line 3 of the Dockerfile: COPY . /app)"));
}

TEST_F(ImageSearchTest, LooksIntoWhatTheImageSaysOfItself) {
  json config = k_config;
  config["config"]["Env"].push_back("API_TOKEN=" + k_token);
  config["config"]["Labels"]["org.example.token"] = "a " + k_token;
  config["history"][3]["created_by"] = "RUN |1 TOKEN=" + k_token + " /bin/sh -c make # buildkit";
  config["history"].push_back(
      {{"created_by", "RUN |1 TOKEN=" + k_token + " /bin/sh -c again"}, {"empty_layer", true}});
  const std::string plain = layer("a", "b");
  EXPECT_THAT(
      texts(search(registry_.image({plain, plain, plain}, config), k_dockerfile + "RUN again\n")),
      ElementsAre("variable TOKEN in the image's variable API_TOKEN",
                  "variable TOKEN in the image's label org.example.token",
                  "variable TOKEN in the image's history (line 4 of the Dockerfile: RUN)"));
  json other = k_config;
  other["author"] = k_token;
  EXPECT_THAT(texts(search(registry_.image({plain}, other))),
              ElementsAre("variable TOKEN in the image's configuration"));
}

TEST_F(ImageSearchTest, SaysWhatItCouldNotSearch) {
  const std::string good = layer("app/x", k_token);
  std::string bad = layer("etc/base", std::string(50'000, 'x'));
  bad.resize(bad.size() - 20);
  const std::string image = registry_.image({bad, good}, k_config);
  const auto report = search(image);
  EXPECT_THAT(report.not_searched,
              ElementsAre("layer 1 of 2: the layer is damaged: it is cut short"));
  EXPECT_EQ(report.found.size(), 1U);
  EXPECT_EQ(report.findings.size(), 1U);

  const std::string missing = registry_.image({layer("a", "b")}, k_config);
  std::erase_if(registry_.blobs, [](const auto& blob) { return blob.second == layer("a", "b"); });
  EXPECT_THAT(search(missing).not_searched, ElementsAre(HasSubstr("layer 1 of 1: no sha256:")));

  const std::string elsewhere = registry_.store(json{
      {"config", {{"digest", registry_.store(k_config.dump())}}},
      {"layers",
       {{{"digest", registry_.store(good)}, {"urls", {"https://elsewhere.example"}}},
        3,
        {{"digest", 4}}}}}.dump());
  EXPECT_EQ(search(elsewhere).not_searched.size(), 2U);
  EXPECT_EQ(
      search(registry_.image(std::vector<std::string>(600, good), k_config)).not_searched.size(),
      1U);
}

TEST_F(ImageSearchTest, EndsWithItsTimeAndWithItsJob) {
  const std::string image =
      registry_.image({layer("a", "b"), layer("c", std::string(1'000'000, 'x'))}, k_config);
  job_.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1);
  EXPECT_THAT(search(image).not_searched,
              ElementsAre("layer 2 of 2: the time is over", "layer 1 of 2: the time is over"));
  EXPECT_EQ(search(image).unreached.size(), 2U);
  job_.deadline += std::chrono::minutes(2);
  stop_.request_stop();
  const auto stopped =
      search_->search(job_, {.image = {.repository = {"registry/s"}, .tag = "d", .digest = image},
                             .sought = sought_,
                             .known = known_});
  EXPECT_EQ(stopped.error().kind, ErrorKind::cancelled);
}

TEST_F(ImageSearchTest, RemembersNoSecretAndFewFiles) {
  std::string tar;
  for (int i = 0; i < 200; ++i) {
    tar += tar_entry("many/" + std::to_string(i), k_token);
  }
  const auto many = search(registry_.image({tar}, k_config));
  EXPECT_EQ(many.findings.size(), 3U);
  const auto named = search(registry_.image({gzipped(tar_entry("app/" + k_token, "x"))}, k_config));
  ASSERT_EQ(named.findings.size(), 1U);
  EXPECT_EQ(named.findings[0].where, "a file whose name holds one");
  const std::string cut = std::string(110, 'd') + "/" + k_token;
  const auto behind = search(registry_.image(
      {gzipped(tar_entry("././@LongLink", cut + '\0', 'L') + tar_entry("short", k_token))},
      k_config));
  bool is_told = false;
  for (const ImageFinding& finding : behind.findings) {
    is_told = is_told || finding.where == "a file whose name holds one";
    EXPECT_EQ(finding.where.find(k_token.substr(0, 4)), std::string::npos) << finding.where;
  }
  EXPECT_TRUE(is_told);
}

TEST_F(ImageSearchTest, CopiesOfTheEnvFileHideNoOtherFile) {
  std::string tar;
  for (int i = 0; i < 20; ++i) {
    tar += tar_entry("a" + std::to_string(i) + "/.env", k_token);
  }
  const auto report =
      search(registry_.image({gzipped(tar + tar_entry("srv/public.js", k_token))}, k_config));
  std::vector<std::string> places;
  for (const ImageFinding& finding : report.findings) {
    places.push_back(finding.where);
  }
  EXPECT_EQ(places.size(), 4U);
  EXPECT_THAT(places, Contains("/srv/public.js"));
}

TEST_F(ImageSearchTest, AnInstructionThatHoldsASecretIsNotCutInTheMiddleOfIt) {
  for (const std::string& made_by :
       {"RUN echo \"//registry.npmjs.org/:_authToken=" + k_token + "\" > /root/.npmrc",
        "RUN |1 TOKEN=" + k_token + " npm run build"}) {
    const json config{{"history", {{{"created_by", made_by}}}}};
    const auto report = search(registry_.image({layer("root/.npmrc", k_token)}, config));
    ASSERT_FALSE(report.findings.empty());
    for (const ImageFinding& finding : report.findings) {
      EXPECT_EQ(finding.made_by.find(k_token.substr(0, 4)), std::string::npos) << finding.made_by;
    }
  }
}

}  // namespace
}  // namespace builder::adapters::image_search
