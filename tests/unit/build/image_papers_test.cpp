#include "build/image_papers.hpp"

#include "fakes/fake_attestations.hpp"
#include "fakes/fake_sboms.hpp"
#include "fakes/recording_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace builder::build {
namespace {

using domain::AttestationRule;
using testing::ElementsAre;
using testing::HasSubstr;

class ImagePapersTest : public testing::Test {
 protected:
  /// What a deployment comes to; `promote` is between the two halves.
  Result<> run(
      AttestationRule rule, const std::optional<domain::Provenance>& facts,
      const std::function<void()>& promote = [] {}) {
    const PaperRules rules{.rule = rule, .builder_id = "https://b.example.com", .version = "1"};
    ImagePapers papers({&attestations, describes ? &sboms : nullptr, metrics, events}, rules,
                       {.deployment_id = domain::DeploymentId("d1"), .stop = stop.get_token()});
    BUILDER_TRY(papers.before_promotion({.repository = {"r/s"}, .tag = "d1", .digest = "sha256:aa"},
                                        facts, maker));
    promote();
    papers.after_promotion();
    left = papers.left();
    return {};
  }

  std::string log() {
    std::string text;
    for (const std::string& line : events.lines()) {
      text += line + "\n";
    }
    return text;
  }

  fakes::FakeAttestations attestations;
  fakes::FakeSboms sboms;
  bool describes = false;
  ports::ImageMaker maker = ports::ImageMaker::dockerfile;
  std::optional<SbomTask> left;
  ports::Metrics metrics;
  fakes::RecordingEvents events;
  std::stop_source stop;
  const domain::Provenance made{.digest = "sha256:aa", .commit = "c"};
};

TEST_F(ImagePapersTest, ProvenanceIsAttachedAndSignedWhereThereIsAKey) {
  ASSERT_TRUE(run(AttestationRule::on, made));
  EXPECT_THAT(attestations.attached,
              ElementsAre(domain::k_provenance_type, domain::k_image_signature_type));
  attestations.attached.clear();
  attestations.has_key = false;
  ASSERT_TRUE(run(AttestationRule::required, made));
  EXPECT_THAT(attestations.attached, ElementsAre(domain::k_provenance_type));
  EXPECT_EQ(log(), "");
  EXPECT_THAT(metrics.render(), HasSubstr(R"(image_attestations_total{result="attached"} 2)"));
}

TEST_F(ImagePapersTest, OffDoesNothing) {
  ASSERT_TRUE(run(AttestationRule::off, made));
  EXPECT_THAT(attestations.attached, ElementsAre());
}

TEST_F(ImagePapersTest, AFailureIsToldAndFailsNothing) {
  bool is_promoted = false;
  attestations.hook = [](const ports::JobContext&) {
    return failure(ErrorKind::denied, "DENIED: no referrers here");
  };
  EXPECT_TRUE(run(AttestationRule::on, made, [&] { is_promoted = true; }));
  EXPECT_TRUE(is_promoted);
  EXPECT_THAT(log(), HasSubstr("no provenance"));
  EXPECT_THAT(log(), Not(HasSubstr("DENIED"))) << "the operator's";
  EXPECT_THAT(metrics.render(), HasSubstr(R"(image_attestations_total{result="failed"} 1)"));
}

TEST_F(ImagePapersTest, RequiredNothingIsPromotedWithout) {
  bool is_promoted = false;
  attestations.hook = [](const ports::JobContext&) {
    return failure(ErrorKind::denied, "DENIED: no referrers here");
  };
  const auto ended = run(AttestationRule::required, made, [&] { is_promoted = true; });
  ASSERT_FALSE(ended);
  EXPECT_FALSE(is_promoted);
  EXPECT_EQ(ended.error().kind, ErrorKind::denied);
  EXPECT_THAT(ended.error().message, HasSubstr("ATTESTATIONS=required"));
  EXPECT_THAT(ended.error().message, HasSubstr("no referrers here"));
  EXPECT_THAT(ended.error().customer, HasSubstr("ask its operator"));
  EXPECT_LE(ended.error().customer.size(), 191u);
  attestations.hook = [](const ports::JobContext&) {
    return failure(ErrorKind::internal, "MANIFEST_INVALID");
  };
  EXPECT_EQ(run(AttestationRule::required, made).error().kind, ErrorKind::conflict)
      << "not tried again";
}

TEST_F(ImagePapersTest, NothingIsSaidOfWhatOthersBuilt) {
  EXPECT_TRUE(run(AttestationRule::on, std::nullopt));
  EXPECT_THAT(log(), HasSubstr("no provenance"));
  EXPECT_FALSE(run(AttestationRule::required, std::nullopt));
  attestations.there = true;
  EXPECT_TRUE(run(AttestationRule::required, std::nullopt));
  EXPECT_THAT(attestations.attached, ElementsAre());
}

TEST_F(ImagePapersTest, ACancelEndsIt) {
  attestations.hook = [](const ports::JobContext& job) -> Result<> {
    while (!job.stop.stop_requested()) {
      std::this_thread::yield();
    }
    return failure(ErrorKind::cancelled, "stopped");
  };
  EXPECT_TRUE(run(AttestationRule::on, made, [this] { stop.request_stop(); }));
  EXPECT_EQ(log(), "");
}

TEST_F(ImagePapersTest, WhatIsInTheImageIsLeftForLater) {
  describes = true;
  ASSERT_TRUE(run(AttestationRule::on, made));
  EXPECT_TRUE(sboms.described.empty());
  ASSERT_TRUE(left);
  EXPECT_EQ(left->image.digest, "sha256:aa");
  // Not of what has no provenance, nor where nobody would describe it.
  ASSERT_TRUE(run(AttestationRule::on, std::nullopt));
  EXPECT_FALSE(left);
  sboms.has_scanner = false;
  ASSERT_TRUE(run(AttestationRule::on, made));
  EXPECT_FALSE(left);
  maker = ports::ImageMaker::buildpacks;
  ASSERT_TRUE(run(AttestationRule::on, made));
  EXPECT_TRUE(left);
}

TEST_F(ImagePapersTest, RequiredNothingIsPromotedBeforeItIsDescribed) {
  describes = true;
  bool is_promoted = false;
  ASSERT_TRUE(run(AttestationRule::required, made, [&] {
    is_promoted = true;
    EXPECT_THAT(attestations.attached,
                ElementsAre(domain::k_provenance_type, domain::k_image_signature_type,
                            domain::k_spdx_type));
  }));
  EXPECT_TRUE(is_promoted);
  EXPECT_FALSE(left);
  is_promoted = false;
  sboms.hook = [](const ports::JobContext&) { return failure(ErrorKind::conflict, "it crashed"); };
  const auto ended = run(AttestationRule::required, made, [&] { is_promoted = true; });
  ASSERT_FALSE(ended);
  EXPECT_FALSE(is_promoted);
  EXPECT_THAT(ended.error().message, HasSubstr("no SBOM is attached"));
  EXPECT_THAT(ended.error().message, HasSubstr("it crashed"));
  EXPECT_THAT(ended.error().customer, HasSubstr("ask its operator"));
  EXPECT_LE(ended.error().customer.size(), 191u);
  EXPECT_THAT(metrics.render(), HasSubstr(R"(image_sboms_total{result="failed"} 1)"));
}

TEST_F(ImagePapersTest, EachImageOfAnIndexIsDescribedOnce) {
  const SbomTask task{.image = {.repository = {"r/s"}, .tag = "d1", .digest = "sha256:index"},
                      .maker = ports::ImageMaker::buildpacks};
  const ports::JobContext job{.deployment_id = domain::DeploymentId("d1"), .stop = {}};
  sboms.digests = {"sha256:one", "sha256:two"};
  attestations.described = {"sha256:one"};
  EXPECT_EQ(attach_sboms(sboms, attestations, job, task), SbomResult::attached);
  EXPECT_THAT(sboms.described, ElementsAre("sha256:two"));
  EXPECT_EQ(sboms.last_maker, ports::ImageMaker::buildpacks);
  ASSERT_EQ(attestations.texts.size(), 1u);
  EXPECT_THAT(attestations.texts.front(), testing::StartsWith("sha256:two "));
  EXPECT_THAT(attestations.texts.front(), HasSubstr(R"("digest":{"sha256":"two"})"));
  attestations.described = {"sha256:one", "sha256:two"};
  EXPECT_EQ(attach_sboms(sboms, attestations, job, task), SbomResult::there);
  attestations.described.clear();
  sboms.sboms.clear();
  EXPECT_EQ(attach_sboms(sboms, attestations, job, task), SbomResult::none);
  EXPECT_EQ(attestations.texts.size(), 1u);
}

}  // namespace
}  // namespace builder::build
