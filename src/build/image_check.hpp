#pragma once

#include "base/keyed_hash.hpp"
#include "base/log.hpp"
#include "base/result.hpp"
#include "base/secret_store.hpp"
#include "domain/build_event.hpp"
#include "domain/deployment_request.hpp"
#include "domain/image_findings.hpp"
#include "domain/image_secrets.hpp"
#include "ports/image_search.hpp"
#include "ports/job_context.hpp"
#include "ports/job_queue.hpp"
#include "ports/metrics.hpp"

#include <chrono>
#include <functional>
#include <future>
#include <stop_token>
#include <string>
#include <vector>

namespace builder::build {

/// What the operator says about secrets in finished images.
struct ImageCheckRules {
  domain::SecretInImage action = domain::SecretInImage::off;
  domain::SecretNames names;
  std::chrono::seconds limit{0};  ///< Of one search.
};

/// Looks for the secrets of a deployment in its image, before anybody can get it as `latest`
/// (ADR 29). With `warn` it does so beside the move of `latest`, and fails nothing. With `refuse`
/// the move waits; a secret, and what could not be searched, ends the deployment. Layers that
/// earlier deployments of the service had searched for the same values are not fetched again, and
/// an image in which they found nothing is not looked at again.
///
/// For one image. Not thread-safe.
class ImageCheck {
 public:
  struct Ports {
    ports::ImageSearch* search;  ///< Null: nothing is searched.
    ports::JobQueue& queue;      ///< Remembers the layers.
    const SecretStore& secrets;  ///< The worker's own are looked for as well.
    ports::Metrics& metrics;
    domain::EventSink& events;
  };

  /// All references outlive the object. `env_file`: the service's variables were in the source as
  /// `.env`. `notes_key`: nobody who reads the queue can try values against what is kept there.
  ImageCheck(const Ports& ports, const ImageCheckRules& rules, const KeyedHash::Key& notes_key,
             bool env_file, const domain::DeploymentRequest& request, const ports::Receipt& receipt,
             const ports::JobContext& job);
  ImageCheck(const ImageCheck&) = delete;
  ImageCheck& operator=(const ImageCheck&) = delete;
  /// Stops a search that is under way.
  ~ImageCheck();

  /// Begins. With `refuse` it waits: `build_failed` with the customer's line when the image holds a
  /// secret; errors of the search. `dockerfile` gives its text, or nothing; asked on any thread.
  Result<> before_promotion(const ports::PublishedImage& image,
                            std::function<std::string()> dockerfile);
  /// With `warn` it waits, and tells.
  void after_promotion();

 private:
  struct Outcome {
    std::string digest;  ///< Of the image.
    ports::ImageSearchReport report;
    domain::LayerNote note;
  };

  Result<Outcome> search(const ports::PublishedImage& image,
                         const std::function<std::string()>& dockerfile);
  [[nodiscard]] std::string sought_hash(const std::vector<NamedSecret>& secrets) const;
  Result<> tell(Outcome outcome);
  void tell_env_file(const std::vector<domain::ImageFinding>& findings, domain::LayerNote& note);
  void remember(const domain::LayerNote& note, const std::string& before);

  const Ports ports_;
  const ImageCheckRules& rules_;
  const KeyedHash::Key& notes_key_;
  const bool env_file_;
  const domain::DeploymentRequest& request_;
  const ports::Receipt& receipt_;
  ports::JobContext job_;
  std::stop_source stop_;
  std::stop_callback<std::function<void()>> forward_;
  std::string note_before_;  ///< As it is at the queue; the search's until it has ended.
  std::future<Result<Outcome>> result_;  ///< Last: its destructor waits for the search.
};

}  // namespace builder::build
