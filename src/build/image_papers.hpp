#pragma once

#include "base/result.hpp"
#include "build/image_sbom.hpp"
#include "domain/build_event.hpp"
#include "domain/provenance.hpp"
#include "ports/attestations.hpp"
#include "ports/job_context.hpp"
#include "ports/metrics.hpp"
#include "ports/registry.hpp"
#include "ports/sbom_source.hpp"

#include <functional>
#include <future>
#include <optional>
#include <stop_token>
#include <string>

namespace builder::build {

/// What the operator says about provenance and signatures of images.
struct PaperRules {
  domain::AttestationRule rule = domain::AttestationRule::off;
  std::string builder_id;
  std::string version;  ///< Of this program.
};

/// Attaches its provenance to an image that this worker has built, and signs both where there is a
/// key (ADR 34). With `on` it does so beside the move of `latest`, and fails nothing. With
/// `required` the move waits, and an image without provenance ends the deployment.
///
/// Nothing is said of an image that another attempt has built: what this worker did not see it does
/// not vouch for.
///
/// What is in an image takes longer to find out (ADR 38): `required` waits for it as well; with
/// `on` it is left for when the deployment has ended.
///
/// For one image. Not thread-safe.
class ImagePapers {
 public:
  struct Ports {
    ports::Attestations* attestations;  ///< Null: nothing is attached.
    ports::SbomSource* sboms;           ///< Null: no image is described.
    ports::Metrics& metrics;
    domain::EventSink& events;
  };

  /// All references outlive the object.
  ImagePapers(const Ports& ports, const PaperRules& rules, const ports::JobContext& job);
  ImagePapers(const ImagePapers&) = delete;
  ImagePapers& operator=(const ImagePapers&) = delete;
  /// Stops what is under way.
  ~ImagePapers();

  /// Begins. `made` is how this worker built the image; nullopt: it did not. With `required` it
  /// waits.
  Result<> before_promotion(const ports::PublishedImage& image,
                            const std::optional<domain::Provenance>& made, ports::ImageMaker maker);
  /// With `on` it waits, for five seconds at most, and tells.
  void after_promotion();

  /// With `on`, of an image that has provenance: what is still to be described.
  [[nodiscard]] const std::optional<SbomTask>& left() const { return left_; }

 private:
  [[nodiscard]] bool is_described(ports::ImageMaker maker) const;
  Result<> describe(const SbomTask& task);
  Result<> work(const ports::PublishedImage& image, const std::optional<domain::Provenance>& made);

  const Ports ports_;
  const PaperRules& rules_;
  ports::JobContext job_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_;
  SbomTask task_;
  std::optional<SbomTask> left_;
  std::future<Result<>> result_;  ///< Last: its destructor waits.
};

}  // namespace builder::build
