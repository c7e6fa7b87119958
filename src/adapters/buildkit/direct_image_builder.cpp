#include "adapters/buildkit/daemon_image_builder.hpp"

#include <utility>
#include <variant>

namespace builder::adapters::buildkit {

namespace {

using Clock = std::chrono::steady_clock;
using ports::JobContext;

/// A repeated solve finds its steps in the engine's cache: the customer has seen them. Output of a
/// step that had to run again passes.
class RepeatedSteps final : public domain::EventSink {
 public:
  explicit RepeatedSteps(domain::EventSink& events) : events_(events) {}

  void emit(domain::BuildEvent event) override {
    const auto* message = std::get_if<domain::Message>(&event);
    if (std::holds_alternative<domain::StepOutput>(event) ||
        std::holds_alternative<domain::OutputLost>(event) ||
        std::holds_alternative<domain::Activity>(event) ||
        (message != nullptr && message->type == domain::LogType::error)) {
      events_.emit(std::move(event));
    }
  }

 private:
  domain::EventSink& events_;
};

class DirectImageBuilder final : public DaemonImageBuilder {
 public:
  DirectImageBuilder(PublishPeers peers, Compression compression, ImageEpoch epoch)
      : DaemonImageBuilder(peers), compression_(std::move(compression)), epoch_(epoch) {}

  Result<ports::PublishResult> publish(const JobContext& job, const ports::ImageSpec& image,
                                       domain::EventSink& events) override {
    const auto begin = Clock::now();
    BUILDER_TRY_ASSIGN(const Solved solved,
                       solve_and_push(peers_, job, image.repository,
                                      pushing_solve_of(image, compression_, epoch_), events));
    const auto digest = solved.exporter_response.find("containerimage.digest");
    if (digest == solved.exporter_response.end()) {
      return failure(ErrorKind::internal,
                     "the engine pushed the image but did not name its digest");
    }
    events.info("Pushed " + digest->second);
    return ports::PublishResult{
        .image = {.repository = image.repository, .tag = image.tag, .digest = digest->second},
        .figures = {.context_bytes_sent = solved.context_bytes_sent,
                    .build = Clock::now() - begin - solved.push,
                    .push = solved.push},
        .bases = solved.bases,
        .tagged = solved.tagged,
        .downloads = solved.downloads};
  }

 private:
  const Compression compression_;
  const ImageEpoch epoch_;
};

}  // namespace

SolveSpec pushing_solve_of(const ports::ImageSpec& image, const Compression& compression,
                           ImageEpoch epoch) {
  // No `registry.insecure`: on loopback the daemon speaks plain HTTP by itself, as
  // `is_plain_http` says; with the attribute it tries TLS first.
  SolveSpec spec = solve_of(image, epoch);
  spec.exporter = "image";
  spec.exporter_attributes["push"] = "true";
  // Where containerd keeps images, none of this name is left.
  spec.exporter_attributes["store"] = "false";
  spec.exporter_attributes["oci-mediatypes"] = "true";
  spec.exporter_attributes["compression"] = compression.type;
  if (compression.level) {
    spec.exporter_attributes["compression-level"] = std::to_string(*compression.level);
  }
  return spec;
}

Result<Solved> solve_and_push(const PublishPeers& peers, const JobContext& job,
                              const ports::Repository& repository, const SolveSpec& spec,
                              domain::EventSink& events) {
  oci::RetryingPush retrying(peers.registry, peers.logins, job, repository, events, peers.patience);
  RepeatedSteps repeated(events);
  domain::EventSink* sink = &events;
  for (;;) {
    // Had now, the daemon's question for it during the push is answered at once.
    BUILDER_TRY(retrying.login());
    auto solved = peers.solver.solve(job, spec, *sink);
    if (solved) {
      retrying.succeeded();
      return *std::move(solved);
    }
    SolveFailure& failed = solved.error();
    if (failed.push_error.empty()) {
      return std::unexpected(std::move(failed.error).with_context("building image"));
    }
    const oci::PushFault fault = oci::classify_push_error(failed.push_error);
    Error error = oci::push_error(fault, std::move(failed.error.message));
    if (auto recovered = retrying.recover({.fault = fault, .error = std::move(error)});
        !recovered) {
      return std::unexpected(std::move(recovered).error().with_context("pushing image"));
    }
    sink = &repeated;
  }
}

std::unique_ptr<ports::ImageBuilder> make_direct_image_builder(PublishPeers peers,
                                                               Compression compression,
                                                               ImageEpoch epoch) {
  return std::make_unique<DirectImageBuilder>(peers, std::move(compression), epoch);
}

}  // namespace builder::adapters::buildkit
