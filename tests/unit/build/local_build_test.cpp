#include "build/local_build.hpp"

#include "fakes/fake_steps.hpp"
#include "fakes/memory_tree.hpp"
#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

namespace builder::build {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class NoBytes final : public ports::ByteSink {
 public:
  Result<> begin() override { return {}; }

  Result<> write(std::string_view /*bytes*/) override { return {}; }
};

class FakeExporter final : public ports::ImageExporter {
 public:
  explicit FakeExporter(fakes::StepRecord& record) : record_(record) {}

  Result<> can_load(const ports::JobContext& /*job*/) override { return answer(); }

  Result<> can_write(const ports::JobContext& /*job*/, ports::Archive /*archive*/) override {
    return answer();
  }

  Result<ports::ExportedImage> load(const ports::JobContext& /*job*/, const ports::ImageSpec& image,
                                    domain::EventSink& /*events*/) override {
    record_.add("load");
    built = image;
    return ports::ExportedImage{.digest = "sha256:id", .size = 7, .context_bytes_sent = 3};
  }

  Result<ports::ExportedImage> write(const ports::JobContext& /*job*/,
                                     const ports::ImageSpec& image, ports::Archive archive,
                                     ports::ByteSink& sink,
                                     domain::EventSink& /*events*/) override {
    record_.add(archive == ports::Archive::oci ? "write oci" : "write");
    built = image;
    written_to = &sink;
    return ports::ExportedImage{.digest = "sha256:m"};
  }

  std::optional<Error> refusal;
  ports::ImageSpec built;
  ports::ByteSink* written_to = nullptr;

 private:
  Result<> answer() const { return refusal ? Result<>(std::unexpected(*refusal)) : Result<>(); }

  fakes::StepRecord& record_;
};

class LocalBuildTest : public ::testing::Test {
 protected:
  LocalBuildTest() {
    build_.request.deployment_id = domain::DeploymentId("local");
    build_.request.service_id = domain::ServiceId("local-1");
    build_.repository.uri = "shop/web";
    build_.tag = "1";
    build_.knobs.target = {.value = "small", .where = "--target"};
  }

  Result<LocalResult> run(LocalTarget target, const char* dockerfile = "Dockerfile") {
    build_.target = target;
    auto tree = std::make_shared<fakes::MemoryTree>();
    tree->add_file(dockerfile, "FROM busybox\n");
    return run_local_build({exporter_, image_, buildpacks_}, {}, build_,
                           {.commit = commit_, .subject = {}, .tree = std::move(tree)}, {},
                           events_);
  }

  fakes::StepRecord record_;
  FakeExporter exporter_{record_};
  fakes::FakeImageBuilder image_{record_};
  fakes::FakeBuildpacks buildpacks_{record_};
  fakes::RecordingEvents events_;
  domain::CommitSha commit_;
  LocalBuild build_;
};

TEST_F(LocalBuildTest, LoadsWhatTheDockerfileMakes) {
  const auto built = run(ToEngine{});
  ASSERT_TRUE(built) << built.error().message;
  EXPECT_EQ(built->digest, "sha256:id");
  EXPECT_EQ(built->size, 7U);
  EXPECT_EQ(built->context_bytes_sent, 3U);
  EXPECT_THAT(record_.steps(), ElementsAre("load"));
  EXPECT_EQ(exporter_.built.repository.uri, "shop/web");
  EXPECT_EQ(exporter_.built.options.target, "small");
  EXPECT_TRUE(exporter_.built.may_read_registry);
  // The plan's: a source without an ignore file gets the platform's.
  EXPECT_TRUE(exporter_.built.context->stat(".dockerignore"));
}

TEST_F(LocalBuildTest, AStrangersDockerfileReadsNothingBesideTheImageAndSharesNoCache) {
  build_.is_strangers = true;
  build_.caches = {
      .dockerfiles = {Secret("d"), {}, {}}, .buildpacks = Secret("b"), .secrets = Secret("s")};
  build_.pins = {{"docker.io/library/busybox", "sha256:1"}};
  ASSERT_TRUE(run(ToRegistry{}));
  EXPECT_FALSE(image_.built.may_read_registry);
  EXPECT_EQ(image_.built.cache_namespace.reveal(), "d");
  EXPECT_EQ(image_.built.options.pins, build_.pins);
  ASSERT_TRUE(run(ToEngine{}));
  EXPECT_TRUE(exporter_.built.may_read_registry) << "the name is none of a registry's";
  EXPECT_EQ(exporter_.built.cache_namespace.reveal(), "d");
}

TEST_F(LocalBuildTest, WritesAnArchive) {
  NoBytes sink;
  EXPECT_TRUE(run(ToArchive{.archive = ports::Archive::oci, .sink = &sink}));
  EXPECT_THAT(record_.steps(), ElementsAre("write oci"));
  EXPECT_EQ(exporter_.written_to, &sink);
}

TEST_F(LocalBuildTest, PushesAndMovesNoOtherTag) {
  EXPECT_TRUE(run(ToRegistry{}));
  EXPECT_THAT(record_.steps(), ElementsAre("build", "push 1"));
  EXPECT_EQ(image_.built.tag, "1");
}

TEST_F(LocalBuildTest, OneBuildHasAllNames) {
  build_.more_names = {{.repository = {"shop/web"}, .tag = "latest"},
                       {.repository = {"h:5000/web"}, .tag = "1"}};
  ASSERT_TRUE(run(ToEngine{}));
  ASSERT_EQ(exporter_.built.more_names.size(), 2U);
  EXPECT_EQ(exporter_.built.more_names[1].str(), "h:5000/web:1");
  ASSERT_TRUE(run(ToRegistry{}));
  EXPECT_EQ(image_.built.more_names.size(), 2U);
  const auto refused = run(ToRegistry{}, "index.js");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid_input);
  EXPECT_NE(refused.error().customer.find("leave one of --tag and --push"), std::string::npos);
}

TEST_F(LocalBuildTest, WhatCannotBeDoneIsSaidBeforeAnythingIsBuilt) {
  exporter_.refusal = Error{.kind = ErrorKind::invalid_input, .message = "cannot"};
  NoBytes sink;
  EXPECT_EQ(run(ToEngine{}).error().message, "cannot");
  EXPECT_EQ(run(ToArchive{.archive = ports::Archive::oci, .sink = &sink}).error().message,
            "cannot");
  EXPECT_THAT(record_.steps(), IsEmpty());
  EXPECT_TRUE(run(ToRegistry{}));
}

TEST_F(LocalBuildTest, BuildpacksMakeImagesOfTheEngineAndOfARegistryAndNoArchives) {
  NoBytes sink;
  const auto refused = run(ToArchive{.archive = ports::Archive::docker, .sink = &sink}, "index.js");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::invalid_input);
  EXPECT_NE(refused.error().customer.find("--push"), std::string::npos);
  EXPECT_THAT(record_.steps(), IsEmpty());
  const auto loaded = run(ToEngine{}, "index.js");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->digest, "sha256:i");
  EXPECT_TRUE(run(ToRegistry{}, "index.js"));
  build_.knobs.platform = {.value = "linux/amd64"};
  EXPECT_TRUE(run(ToRegistry{}, "index.js"));
  build_.knobs.platform = {.value = "linux/arm64", .where = "--platform"};
  EXPECT_TRUE(run(ToRegistry{}, "index.js"));
  EXPECT_EQ(buildpacks_.built.platform, "linux/arm64");
  build_.knobs.platform = {.value = "linux/arm64,linux/amd64", .where = "--platform"};
  ASSERT_TRUE(run(ToRegistry{}, "index.js"));
  EXPECT_EQ(buildpacks_.built.platform, "linux/arm64,linux/amd64");
  EXPECT_FALSE(buildpacks_.built.may_leave_out) << "somebody named them";
}

TEST_F(LocalBuildTest, TheFilesOfACommitHaveItsTimesAndThoseOfAFolderTheirOwn) {
  ASSERT_TRUE(run(ToEngine{}));
  EXPECT_FALSE(exporter_.built.context->stat("Dockerfile")->modified);
  commit_ = domain::CommitSha(std::string(40, 'a'));
  ASSERT_TRUE(run(ToEngine{}));
  EXPECT_TRUE(exporter_.built.context->stat("Dockerfile")->modified);
}

}  // namespace
}  // namespace builder::build
