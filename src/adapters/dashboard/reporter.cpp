#include "adapters/dashboard/reporter.hpp"

#include "adapters/dashboard/answer.hpp"
#include "adapters/dashboard/platform_text.hpp"
#include "base/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <mutex>

namespace builder::adapters::dashboard {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds k_probe_timeout{5};
constexpr std::chrono::seconds k_longest_turn{2};
constexpr std::chrono::milliseconds k_between_builded{20};
/// No deployment has such an id: the platform answers that it does not know it, after it has looked
/// at the key, and nothing else happens.
constexpr const char* k_nobody = "readiness-probe";

std::string dump(const Json& value) {
  // Bytes that are no UTF-8 become U+FFFD instead of an exception.
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json log_object(domain::LogType type, std::string_view text) {
  return {{"text", truncate_bytes(text, k_log_bytes)}, {"type", domain::to_string(type)}};
}

bool is_present(const nlohmann::json& object, const char* name) {
  const auto field = object.find(name);
  return field != object.end() && !field->is_null();
}

class HttpReporter final : public Reporter {
 public:
  HttpReporter(ReporterSettings settings, http::Client& client)
      : settings_(std::move(settings)), client_(client) {
    while (settings_.api_url.ends_with('/')) {
      settings_.api_url.pop_back();
    }
  }

  Result<ports::StatusAnswer> post_status(const domain::DeploymentId& deployment,
                                          const ports::StatusUpdate& update,
                                          const ports::PostTerms& terms) override {
    // The platform gives a deploy job the id of another deployment when their BUILDED arrive at
    // once: they go one behind the other. One that hangs does not hold up the others for long.
    std::unique_lock<std::timed_mutex> turn(builded_, std::defer_lock);
    if (update.status == ports::DeploymentStatus::builded && turn.try_lock_for(k_longest_turn)) {
      sleep_for(std::chrono::ceil<std::chrono::milliseconds>(last_builded_ + k_between_builded -
                                                             Clock::now()),
                terms.stop);
    }
    BUILDER_TRY_ASSIGN(const http::Response response,
                       post(deployment, "status", status_body(update), terms));
    if (turn.owns_lock()) {
      last_builded_ = Clock::now();
    }
    return parse_status_answer(response.body);
  }

  Result<> post_log(const domain::DeploymentId& deployment, domain::LogType type,
                    const std::string& text, const ports::PostTerms& terms) override {
    if (text.empty()) {
      return {};  // The platform refuses an empty text, and there is nothing to show.
    }
    BUILDER_TRY(post(deployment, "logs", log_body(type, text), terms));
    return {};
  }

  Result<> probe(const std::stop_token& stop) override {
    const auto answer = send(domain::DeploymentId(k_nobody), "logs",
                             log_body(domain::LogType::info, " "), {.stop = stop}, k_probe_timeout);
    if (answer || answer.error().kind == ErrorKind::not_found) {
      return {};
    }
    return std::unexpected(answer.error());
  }

 private:
  Result<http::Response> post(const domain::DeploymentId& deployment, std::string_view what,
                              std::string body, const ports::PostTerms& terms) {
    auto answer = send(deployment, what, std::move(body), terms, http::Request().timeout);
    if (!answer) {
      return std::unexpected(
          std::move(answer).error().with_context(fmt::format("posting {}", what)));
    }
    return answer;
  }

  Result<http::Response> send(const domain::DeploymentId& deployment, std::string_view what,
                              std::string body, const ports::PostTerms& terms,
                              std::chrono::milliseconds timeout) {
    const auto may_send = [lease = terms.lease] { return lease == nullptr || lease->holds(); };
    const http::Request request{
        .method = http::Method::post,
        .url = fmt::format("{}/webhooks/deployments/{}/{}", settings_.api_url,
                           http::percent_encode(deployment.str()), what),
        .headers = {{.name = "Content-Type", .value = "application/json"},
                    {.name = "X-Api-Key", .value = settings_.api_key.reveal()}},
        .body = std::move(body),
        .timeout = timeout,
        .may_send = may_send};
    auto response = client_.send(request, terms.stop, SteadyTime::max());
    if (!response) {
      Error error = std::move(response).error();
      // Whatever is wrong with the exchange itself, the platform has not said it.
      if (!error.is_transient() && error.kind != ErrorKind::cancelled &&
          error.kind != ErrorKind::conflict) {
        error.kind = ErrorKind::unavailable;
      }
      return std::unexpected(std::move(error).with_context("API_URL"));
    }
    BUILDER_TRY(classify(*response));
    return response;
  }

  ReporterSettings settings_;
  http::Client& client_;
  std::timed_mutex builded_;
  SteadyTime last_builded_{};  ///< With the mutex.
};

}  // namespace

std::string status_body(const ports::StatusUpdate& update) {
  Json body{{"status", ports::to_string(update.status)}};
  if (std::string error = printable_line(update.error, k_error_characters); !error.empty()) {
    body["error"] = std::move(error);
  }
  if (update.log && !update.log->text.empty()) {
    body["logs"] = log_object(update.log->type, update.log->text);
  }
  if (update.status == ports::DeploymentStatus::builded) {
    // Without the type the platform deploys without a pull secret.
    body["data"] = {{"containerImageUri", update.image_uri}, {"containerRegistryType", "ecr"}};
  }
  return dump(body);
}

std::string log_body(domain::LogType type, std::string_view text) {
  return dump(log_object(type, text));
}

ports::StatusAnswer parse_status_answer(std::string_view body) {
  const auto answer = parse_json(body);
  if (!answer.is_object()) {
    return {};
  }
  const auto data = answer.find("data");
  if (data == answer.end() || !data->is_object()) {
    return {};
  }
  const auto deployment = data->find("deployment");
  if (deployment == data->end() || !deployment->is_object()) {
    return {};
  }
  const auto service = deployment->find("service");
  return {.deployment_completed = is_present(*deployment, "completedAt"),
          .service_deleted = service != deployment->end() && service->is_object() &&
                             is_present(*service, "deletedAt")};
}

std::unique_ptr<Reporter> make_reporter(ReporterSettings settings, http::Client& client) {
  return std::make_unique<HttpReporter>(std::move(settings), client);
}

}  // namespace builder::adapters::dashboard
