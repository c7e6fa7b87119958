#include "build/image_check.hpp"

#include "base/size.hpp"
#include "base/text.hpp"
#include "domain/customer_line.hpp"
#include "domain/request_secrets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::build {

namespace {

using domain::ImageFinding;
using domain::SecretInImage;
using Clock = std::chrono::steady_clock;

/// With `warn` no deployment waits longer for it.
constexpr std::chrono::seconds k_warning_limit{5};
constexpr std::string_view k_advice =
    "Whoever gets the image can read it, also if a later step deletes the file. Use RUN "
    "--mount=type=secret,id=NAME, or keep the file out with .dockerignore; then replace the secret";

ports::ServiceMemory layers_of(const domain::ServiceId& service) {
  return {.service = service, .what = ports::ServiceMemory::What::layers};
}

std::string refusal_line(const ImageFinding& finding, std::size_t layers) {
  const std::string what = domain::finding_text(finding, layers);
  return domain::customer_line("The image holds a secret, so it is not deployed: " + what);
}

}  // namespace

ImageCheck::ImageCheck(const Ports& ports, const ImageCheckRules& rules,
                       const KeyedHash::Key& notes_key, bool env_file,
                       const domain::DeploymentRequest& request, const ports::Receipt& receipt,
                       const ports::JobContext& job)
    : ports_(ports),
      rules_(rules),
      notes_key_(notes_key),
      env_file_(env_file),
      request_(request),
      receipt_(receipt),
      job_(job),
      forward_(job.stop, [this] { stop_.request_stop(); }) {
  job_.stop = stop_.get_token();
}

ImageCheck::~ImageCheck() {
  stop_.request_stop();  // The future's destructor waits for the thread.
}

Result<> ImageCheck::before_promotion(const ports::PublishedImage& image,
                                      std::function<std::string()> dockerfile) {
  if (rules_.action == SecretInImage::off || ports_.search == nullptr) {
    return {};
  }
  // The image is there: the build's own deadline no longer counts.
  const bool only_warns = rules_.action == SecretInImage::warn;
  job_.deadline =
      Clock::now() + (only_warns ? std::min(rules_.limit, k_warning_limit) : rules_.limit);
  const auto work = [this, image, dockerfile = std::move(dockerfile)] {
    return search(image, dockerfile);
  };
  if (only_warns) {
    // Where there is no thread for it, `latest` moves first.
    result_ = std::async(std::launch::async | std::launch::deferred, work);
    return {};
  }
  auto outcome = work();
  if (!outcome) {
    ports_.metrics.image_searched("failed");
    return std::unexpected(std::move(outcome).error().with_context("searching the image"));
  }
  return tell(*std::move(outcome));
}

void ImageCheck::after_promotion() {
  if (!result_.valid()) {
    return;
  }
  auto outcome = result_.get();
  if (outcome) {
    // What is found is told; with `warn` it is no failure.
    static_cast<void>(tell(*std::move(outcome)));
    return;
  }
  ports_.metrics.image_searched("failed");
  if (outcome.error().kind != ErrorKind::cancelled) {
    job_.log.warning("the image was not searched for secrets: {}", outcome.error().message);
    ports_.events.warning("The image could not be searched for secrets");
  }
}

/// On a thread of its own with `warn`.
Result<ImageCheck::Outcome> ImageCheck::search(const ports::PublishedImage& image,
                                               const std::function<std::string()>& dockerfile) {
  const auto started = Clock::now();
  std::vector<NamedSecret> secrets = domain::image_secrets(request_, rules_.names);
  Outcome outcome;
  outcome.digest = image.digest;
  outcome.note.sought = sought_hash(secrets);
  for (NamedSecret& own : ports_.secrets.unguessable_of_worker()) {
    own.name = "a credential of the build service";
    secrets.push_back(std::move(own));
  }
  const domain::SoughtSecrets sought(secrets);
  if (sought.empty()) {
    return outcome;
  }
  // What cannot be remembered is searched again.
  if (auto text = ports_.queue.recall(receipt_, layers_of(request_.service_id))) {
    note_before_ = *std::move(text);
  }
  domain::LayerNote before = domain::read_layer_note(note_before_);
  outcome.note.told_of_env_file = before.told_of_env_file;
  if (before.sought != outcome.note.sought) {
    before.layers.clear();
    before.given_up.clear();
    before.clean.clear();
  }
  if (std::ranges::find(before.clean, image.digest) != before.clean.end()) {
    outcome.note = std::move(before);
    return outcome;
  }
  outcome.note.clean = std::move(before.clean);
  for (const std::string& layer : before.given_up) {
    before.layers.try_emplace(layer);  // Nobody waits for it again.
  }
  BUILDER_TRY_ASSIGN(
      outcome.report,
      ports_.search->search(job_, {.image = image,
                                   .sought = sought,
                                   .known = before.layers,
                                   .dockerfile = dockerfile,
                                   .alive = [this] { ports_.events.emit(domain::Activity{}); }}));
  outcome.note.layers = outcome.report.found;
  for (const std::string& layer : before.given_up) {
    if (outcome.note.layers.erase(layer) > 0) {
      outcome.note.given_up.insert(layer);
    }
  }
  if (rules_.action == SecretInImage::warn) {
    outcome.note.given_up.insert(outcome.report.unreached.begin(), outcome.report.unreached.end());
  }
  const auto took = Clock::now() - started;
  ports_.metrics.phase_took("search", took);
  ports_.metrics.image_bytes_searched(outcome.report.bytes);
  job_.log.debug(
      "searched {} of {} layers for {} values, without {} that can be guessed, in {} ms: "
      "{} bytes",
      outcome.report.found.size(), outcome.report.layers, secrets.size(), sought.left_out().size(),
      std::chrono::duration_cast<std::chrono::milliseconds>(took).count(), outcome.report.bytes);
  return outcome;
}

/// Of the variables, how thorough it is and what is told: whoever makes a new password for git or
/// the registry has not put it into an old layer.
std::string ImageCheck::sought_hash(const std::vector<NamedSecret>& secrets) const {
  std::vector<std::string> parts;
  for (const NamedSecret& secret : secrets) {
    if (secret.name.starts_with(domain::k_of_variable)) {
      parts.push_back(with_lengths({secret.name, secret.value.reveal()}));
    }
  }
  std::ranges::sort(parts);
  // The forms that are looked for: others, another number.
  std::string text = rules_.action == SecretInImage::warn ? "layers 3 warn\n" : "layers 3\n";
  if (!env_file_) {
    text += "what is in .env is told like anything else\n";
  }
  for (const std::string& part : parts) {
    text += part;
  }
  return hmac_sha256_hex(std::string(notes_key_.begin(), notes_key_.end()), text);
}

Result<> ImageCheck::tell(Outcome outcome) {
  const bool is_refused = rules_.action == SecretInImage::refuse;
  std::vector<ImageFinding> leaks;
  std::vector<ImageFinding> in_env_file;
  for (ImageFinding& finding : outcome.report.findings) {
    (env_file_ && domain::is_env_file(finding) ? in_env_file : leaks).push_back(std::move(finding));
  }
  for (std::string& line : domain::warning_lines(leaks, outcome.report.layers)) {
    ports_.events.warning(std::move(line));
  }
  if (!leaks.empty()) {
    ports_.events.info(std::string(k_advice));
  }
  tell_env_file(in_env_file, outcome.note);
  const bool is_whole = outcome.report.not_searched.empty();
  if (leaks.empty() && is_whole && outcome.note.given_up.empty()) {
    domain::add_clean(outcome.note, outcome.digest);
  }
  remember(outcome.note, note_before_);
  for (const std::string& why : outcome.report.not_searched) {
    job_.log.warning("not searched for secrets: {}", why);
  }
  if (!is_whole) {
    ports_.events.warning(
        fmt::format("The image was not searched for secrets as a whole: {} of {} layers",
                    outcome.report.found.size(), outcome.report.layers));
  }
  ports_.metrics.image_searched(!leaks.empty()                              ? "secret"
                                : is_whole && outcome.note.given_up.empty() ? "clean"
                                                                            : "incomplete");
  if (!is_refused) {
    return {};
  }
  if (!leaks.empty()) {
    return std::unexpected(Error{.kind = ErrorKind::build_failed,
                                 .message = "the image holds " + leaks.front().secret,
                                 .customer = refusal_line(leaks.front(), outcome.report.layers)});
  }
  if (!is_whole) {
    return std::unexpected(
        Error{.kind = ErrorKind::build_failed,
              .message = "searching the image: " + outcome.report.not_searched.front() +
                         " (look at SECRET_SEARCH_TIME)",
              .customer = "The image could not be searched for secrets as a whole, so it is not "
                          "deployed; make its layers smaller, or ask the operator"});
  }
  return {};
}

/// Once for a service: it is how variables come by default.
void ImageCheck::tell_env_file(const std::vector<ImageFinding>& findings, domain::LayerNote& note) {
  if (!findings.empty() && !note.told_of_env_file) {
    ports_.events.info(domain::env_file_text(findings));
    note.told_of_env_file = true;
  }
}

/// Best effort: without it the next deployment searches more than it had to.
void ImageCheck::remember(const domain::LayerNote& note, const std::string& before) {
  const std::string text = domain::write_layer_note(note);
  if ((note.layers.empty() && note.given_up.empty()) || text == before) {
    return;
  }
  if (const auto told = ports_.queue.remember(receipt_, layers_of(request_.service_id), text);
      !told) {
    job_.log.debug("searched layers not remembered: {}", told.error().message);
  }
}

}  // namespace builder::build
