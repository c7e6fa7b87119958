#include "build/image_papers.hpp"

#include <chrono>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::build {

namespace {

using domain::AttestationRule;
using Clock = std::chrono::steady_clock;

/// With `on` no deployment waits longer for it.
constexpr std::chrono::seconds k_optional_limit{5};
constexpr std::chrono::seconds k_required_limit{60};

/// Of what has to be attached, and could not be: no image is deployed without.
Error refusal(Error error, std::string_view what, std::string customer) {
  error = std::move(error).with_context("no " + std::string(what) +
                                        " is attached, and ATTESTATIONS=required");
  if (error.kind == ErrorKind::internal) {
    error.kind = ErrorKind::conflict;  // What the registry finds wrong it will find wrong again.
  }
  if (error.customer.empty()) {
    error.customer = std::move(customer);
  }
  return error;
}

}  // namespace

ImagePapers::ImagePapers(const Ports& ports, const PaperRules& rules, const ports::JobContext& job)
    : ports_(ports),
      rules_(rules),
      job_(job),
      forward_(job.stop, [this] { stop_.request_stop(); }) {
  job_.stop = stop_.get_token();
}

ImagePapers::~ImagePapers() {
  stop_.request_stop();  // The future's destructor waits for the thread.
}

Result<> ImagePapers::before_promotion(const ports::PublishedImage& image,
                                       const std::optional<domain::Provenance>& made,
                                       ports::ImageMaker maker) {
  if (rules_.rule == AttestationRule::off || ports_.attestations == nullptr) {
    return {};
  }
  task_ = {.image = image, .maker = maker};
  // The image is there: the build's own deadline no longer counts.
  const bool is_required = rules_.rule == AttestationRule::required;
  job_.deadline = Clock::now() + (is_required ? k_required_limit : k_optional_limit);
  if (!is_required) {
    // Where there is no thread for it, `latest` moves first.
    result_ = std::async(std::launch::async | std::launch::deferred,
                         [this, image, made] { return work(image, made); });
    return {};
  }
  auto done = work(image, made);
  ports_.metrics.image_attested(done ? "attached" : "failed");
  if (!done) {
    return std::unexpected(
        refusal(std::move(done).error(), "provenance",
                "The provenance of the image could not be attached to it, and this platform "
                "deploys no image without; ask its operator"));
  }
  return is_described(maker) ? describe(task_) : Result<>();
}

void ImagePapers::after_promotion() {
  if (!result_.valid()) {
    return;
  }
  const auto done = result_.get();
  ports_.metrics.image_attested(done ? "attached" : "failed");
  if (done && is_described(task_.maker)) {
    left_ = task_;
  } else if (!done && done.error().kind != ErrorKind::cancelled) {
    job_.log.warning("no provenance is attached to the image: {}", done.error().message);
    ports_.events.warning("The image has no provenance: it could not be attached");
  }
}

bool ImagePapers::is_described(ports::ImageMaker maker) const {
  return ports_.sboms != nullptr &&
         (ports_.sboms->describes_all() || maker == ports::ImageMaker::buildpacks);
}

/// With `required`.
Result<> ImagePapers::describe(const SbomTask& task) {
  ports_.events.info("Listing what is in the image (SBOM)");
  job_.deadline = Clock::now() + k_sbom_limit;
  auto done = attach_sboms(*ports_.sboms, *ports_.attestations, job_, task);
  ports_.metrics.image_described(done ? to_string(*done) : "failed");
  if (!done) {
    return std::unexpected(
        refusal(std::move(done).error(), "SBOM",
                "The list of what is in the image (its SBOM) could not be made, and this platform "
                "deploys no image without; ask its operator"));
  }
  return {};
}

/// On a thread of its own with `on`.
Result<> ImagePapers::work(const ports::PublishedImage& image,
                           const std::optional<domain::Provenance>& made) {
  if (!made) {
    const std::string provenance(domain::k_provenance_type);
    BUILDER_TRY_ASSIGN(const bool has_one, ports_.attestations->has(job_, image, provenance));
    return has_one ? Result<>()
                   : failure(ErrorKind::not_found,
                             "another attempt has built the image, and attached none");
  }
  std::vector<ports::Statement> statements{
      {std::string(domain::k_provenance_type), domain::provenance_statement(*made)}};
  if (ports_.attestations->signs()) {
    statements.push_back(
        {std::string(domain::k_image_signature_type), domain::signature_statement(image.digest)});
  }
  return ports_.attestations->attach(job_, image, statements);
}

}  // namespace builder::build
