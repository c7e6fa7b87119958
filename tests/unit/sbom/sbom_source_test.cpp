#include "adapters/sbom/sbom_source.hpp"

#include "adapters/sbom/sbom_files.hpp"
#include "fakes/memory_registry.hpp"

#include "../image_search/packed.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::sbom {
namespace {

using image_search::gzipped;
using image_search::tar_end;
using image_search::tar_entry;
using nlohmann::json;
using ports::ImageMaker;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* k_spdx = R"({"spdxVersion":"SPDX-2.3","packages":[]})";
constexpr const char* k_cyclonedx = R"({"bomFormat":"CycloneDX"})";
const ports::JobContext k_job{.deployment_id = domain::DeploymentId("d1"), .stop = {}};

std::string scan(const std::string& predicate = k_spdx) {
  return R"({"_type":"https://in-toto.io/Statement/v0.1","predicateType":)"
         R"("https://spdx.dev/Document","subject":[{"name":"another"}],"predicate":)" +
         predicate + "}";
}

/// An engine whose scanner leaves what it is told to.
class FakeSolver final : public buildkit::Solver {
 public:
  std::expected<buildkit::Solved, buildkit::SolveFailure> solve(const ports::JobContext&,
                                                                const buildkit::SolveSpec& spec,
                                                                domain::EventSink&) override {
    asked.push_back(*spec.command);
    EXPECT_EQ(spec.exporter, "tar");
    if (failure) {
      return std::unexpected(*failure);
    }
    for (int times = 0; times < 2; ++times) {  // The engine was lost, and the solve began again.
      EXPECT_TRUE(spec.result->begin());
      for (std::size_t at = 0; at < result.size(); at += 1000) {
        if (auto written = spec.result->write(std::string_view(result).substr(at, 1000));
            !written) {
          return std::unexpected(buildkit::SolveFailure{.error = std::move(written).error()});
        }
      }
    }
    return buildkit::Solved{};
  }

  Result<std::vector<domain::BaseImage>> find_bases(const ports::JobContext&,
                                                    const ports::Repository&,
                                                    const std::vector<std::string>&) override {
    return std::vector<domain::BaseImage>();
  }

  Result<buildkit::EngineInfo> engine(const std::stop_token&) override { return info; }

  Result<buildkit::EngineInfo> known_engine(const std::stop_token&) override { return info; }

  Result<std::uint64_t> cache_size(const ports::JobContext&) override { return 0U; }

  buildkit::EngineInfo info{.name = "engine", .buildkit = {}, .platform = "linux/amd64"};
  std::string result = tar_entry("./sbom.spdx.json", scan()) + tar_end();
  std::optional<buildkit::SolveFailure> failure;
  std::vector<buildkit::ImageCommand> asked;
};

class SbomSourceTest : public testing::Test {
 protected:
  /// Stores an image; gives its digest.
  std::string store(const json& config, const std::vector<std::string>& layers = {},
                    const std::string& tag = {}) {
    const auto blob = [this](const std::string& bytes) {
      EXPECT_TRUE(registry.push_blob(k_job, {}, bytes));
      return "sha256:" + sha256_hex(bytes);
    };
    json list = json::array();
    for (const std::string& layer : layers) {
      list.push_back({{"digest", blob(layer)}, {"size", layer.size()}});
    }
    return registry.store(
        json{{"config", {{"digest", blob(config.dump())}}}, {"layers", list}}.dump(), tag);
  }

  Result<std::vector<domain::Sbom>> read(const std::string& digest,
                                         ImageMaker maker = ImageMaker::dockerfile,
                                         const std::string& scanner = "r.test/scanner:1") {
    return make_sbom_source(scanner, solver, registry)->read(k_job, image(digest), maker);
  }

  static ports::PublishedImage image(const std::string& digest) {
    return {.repository = {"r.test/deployra/s1"}, .tag = "d1", .digest = digest};
  }

  static json app() { return {{"os", "linux"}, {"architecture", "arm64"}, {"variant", "v8"}}; }

  std::string scanner(const json& config = {{"Entrypoint", {"/scan"}},
                                            {"Cmd", {"-v"}},
                                            {"Env", {"A=b"}},
                                            {"WorkingDir", "/w"}}) {
    return store({{"os", "linux"}, {"architecture", "amd64"}, {"config", config}}, {}, "1");
  }

  fakes::MemoryRegistry registry{true};
  FakeSolver solver;
};

TEST_F(SbomSourceTest, TheScannerRunsAsItsImageSaysOverTheImageByItsDigest) {
  const std::string tool = scanner();
  const std::string digest = store(app());
  EXPECT_EQ(read(digest), (std::vector{domain::Sbom{domain::k_spdx_type, k_spdx}}));
  ASSERT_EQ(solver.asked.size(), 1u);
  const buildkit::ImageCommand& asked = solver.asked.front();
  EXPECT_EQ(asked.image.reference, "r.test/scanner@" + tool);
  EXPECT_EQ(asked.image.platform, "linux/amd64") << "the engine's own";
  EXPECT_THAT(asked.arguments, ElementsAre("/scan", "-v"));
  EXPECT_THAT(asked.environment, ElementsAre("A=b", "BUILDKIT_SCAN_SOURCE=/run/src/core/sbom",
                                             "BUILDKIT_SCAN_DESTINATION=/run/out"));
  EXPECT_EQ(asked.folder, "/w");
  EXPECT_EQ(asked.result, "/run/out");
  ASSERT_EQ(asked.mounts.size(), 1u);
  EXPECT_EQ(asked.mounts.at("/run/src/core/sbom").reference, "r.test/deployra/s1@" + digest);
  EXPECT_EQ(asked.mounts.at("/run/src/core/sbom").platform, "linux/arm64/v8");
}

TEST_F(SbomSourceTest, AHostileScannerIsNotBelieved) {
  scanner();
  const std::string digest = store(app());
  const std::string large(SbomFiles::k_largest_file + 1, ' ');
  std::string many;
  for (std::size_t i = 0; i <= SbomFiles::k_most_files; ++i) {
    many += tar_entry(std::to_string(i) + ".spdx.json", scan());
  }
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "wrote no *.spdx.json"},
      {tar_entry("sbom.json", scan()), "wrote no"},
      {tar_entry("folder/sbom.spdx.json", scan()), "wrote no"},
      {tar_entry("sbom.spdx.json", "", '2'), "sbom.spdx.json: it is not JSON"},
      {tar_entry("sbom.spdx.json", scan("[]")), "sbom.spdx.json: it is no document"},
      {tar_entry("sbom.spdx.json", k_cyclonedx), "it is not SPDX"},
      {tar_entry("sbom.spdx.json", scan()) + tar_entry("\x1b[2J.spdx.json", "{"), "not JSON"},
      {tar_entry("sbom.spdx.json", large), "too large"},
      {tar_entry("other", std::string(SbomFiles::k_largest_sum + (2U << 20U), 'x')), "too long"},
      {many, "too many"}};
  for (const auto& [tar, why] : cases) {
    solver.result = tar + tar_end();
    const auto found = read(digest);
    ASSERT_FALSE(found) << why;
    EXPECT_THAT(found.error().message, HasSubstr(why));
    EXPECT_FALSE(found.error().message.contains('\x1b'));
    EXPECT_EQ(found.error().kind, ErrorKind::conflict) << "not tried again";
    EXPECT_EQ(found.error().setting, "") << "an image may be to blame";
  }
}

TEST_F(SbomSourceTest, WhatATarHasBesideFilesIsNoPartOfThem) {
  scanner();
  solver.result = tar_entry("sbom.spdx.json", scan()) + tar_entry("g", "12 x=global\n", 'g') +
                  tar_entry("other", "of another file") + tar_end();
  EXPECT_EQ(read(store(app())), (std::vector{domain::Sbom{domain::k_spdx_type, k_spdx}}));
}

TEST_F(SbomSourceTest, AFailedScanIsToldWithoutACustomersLine) {
  scanner();
  const std::string digest = store(app());
  solver.failure = {.error = {.kind = ErrorKind::build_failed, .message = "m", .customer = "c"},
                    .exit_code = 3};
  EXPECT_EQ(read(digest).error().message, "the scanner failed with exit code 3");
  EXPECT_EQ(read(digest).error().customer, "");
  solver.failure = {.error = {.kind = ErrorKind::unavailable, .message = "engine away"}};
  EXPECT_EQ(read(digest).error().kind, ErrorKind::unavailable);
}

TEST_F(SbomSourceTest, AScannerThatCannotBeHadIsTheOperators) {
  const std::string digest = store(app());
  EXPECT_EQ(read(digest).error().setting, "SBOM_SCANNER");
  scanner(json::object());
  EXPECT_THAT(read(digest).error().message, HasSubstr("neither entrypoint nor command"));
  EXPECT_EQ(read(digest).error().setting, "SBOM_SCANNER");
}

class LifecycleSbomTest : public SbomSourceTest {
 protected:
  std::string packed(const std::string& tar) {
    const std::string layer = tar + tar_end();
    const std::string digest = "sha256:" + sha256_hex(layer);
    json config = app();
    config["rootfs"] = {{"diff_ids", {"sha256:other", digest}}};
    config["config"]["Labels"]["io.buildpacks.lifecycle.metadata"] =
        json{{"sbom", {{"sha", digest}}}}.dump();
    return store(config, {"nothing", gzipped(layer)});
  }

  const std::string folder = "/layers/sbom/launch/acme_node/";
};

TEST_F(LifecycleSbomTest, WhatBuildpacksWroteIsReadFromTheirLayer) {
  const std::string long_folder = folder + std::string(90, 'n') + "/";
  const std::string pax = " path=" + long_folder + "sbom.spdx.json\n";
  const std::string digest = packed(
      tar_entry(folder, "", '5') + tar_entry(folder + "sbom.cdx.json", k_cyclonedx) +
      tar_entry(folder + "sbom.syft.json", "{}") + tar_entry(folder + "bad/sbom.spdx.json", "{}") +
      tar_entry(folder + "link/sbom.spdx.json", "", '2') +
      tar_entry("/workspace/sbom.spdx.json", k_spdx) +
      tar_entry("pax", std::to_string(pax.size() + 3) + pax, 'x') + tar_entry("s", k_spdx));
  EXPECT_EQ(read(digest, ImageMaker::buildpacks, ""),
            (std::vector{domain::Sbom{domain::k_spdx_type, k_spdx},
                         domain::Sbom{domain::k_cyclonedx_type, k_cyclonedx}}));
  // What a Dockerfile says of its image is a customer's.
  EXPECT_THAT(read(digest, ImageMaker::dockerfile, "").value(), IsEmpty());
  EXPECT_TRUE(solver.asked.empty());
}

TEST_F(LifecycleSbomTest, WhereThereIsNoneTheScannerIsAsked) {
  scanner();
  const std::string digest = packed(tar_entry("/layers/sbom/launch/sbom.legacy.json", "[]"));
  EXPECT_THAT(read(digest, ImageMaker::buildpacks, "").value(), IsEmpty());
  EXPECT_EQ(read(digest, ImageMaker::buildpacks).value().size(), 1u);
  EXPECT_EQ(read(store(app()), ImageMaker::buildpacks).value().size(), 1u);
  EXPECT_EQ(solver.asked.size(), 2u);
}

TEST_F(LifecycleSbomTest, ADamagedLayerIsTold) {
  json config = app();
  config["rootfs"] = {{"diff_ids", {"sha256:x"}}};
  config["config"]["Labels"]["io.buildpacks.lifecycle.metadata"] = R"({"sbom":{"sha":"sha256:x"}})";
  const auto found = read(store(config, {"\x1F\x8B and no gzip"}), ImageMaker::buildpacks, "");
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("damaged"));
  EXPECT_EQ(found.error().kind, ErrorKind::conflict);
}

}  // namespace
}  // namespace builder::adapters::sbom
