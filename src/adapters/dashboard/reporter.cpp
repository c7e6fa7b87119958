#include "adapters/dashboard/reporter.hpp"

#include "adapters/dashboard/platform_text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace builder::adapters::dashboard {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::seconds k_probe_timeout{5};
constexpr std::size_t k_shown_of_answer = 200;

std::string dump(const Json& value) {
  // Bytes that are no UTF-8 become U+FFFD instead of an exception.
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json log_object(domain::LogType type, std::string_view text) {
  return {{"text", cut_bytes(text, k_log_bytes)}, {"type", domain::to_string(type)}};
}

bool is_present(const nlohmann::json& object, const char* name) {
  const auto field = object.find(name);
  return field != object.end() && !field->is_null();
}

/// The platform's own words, else the beginning of whatever a proxy answered.
std::string answer_text(const http::Response& response) {
  const auto body = nlohmann::json::parse(response.body, nullptr, false);
  if (body.is_object()) {
    const auto message = body.find("message");
    if (message != body.end() && message->is_string()) {
      return one_line(message->get<std::string>(), k_shown_of_answer);
    }
  }
  return one_line(response.body, k_shown_of_answer);
}

ErrorKind kind_of(int status) {
  switch (status) {
    case 401:
    case 403:
      return ErrorKind::denied;
    case 404:
    case 410:
      return ErrorKind::not_found;
    case 408:
    case 425:
    case 429:
      return ErrorKind::unavailable;
    default:
      break;
  }
  if (status >= 300 && status < 400) {
    // The key is never sent to where a redirect points: API_URL has to be corrected.
    return ErrorKind::denied;
  }
  return status >= 500 || status < 200 ? ErrorKind::unavailable : ErrorKind::invalid_input;
}

Effect effect_of(int status) {
  // A gateway that gave up, and an API that broke, may have stored the row before.
  return status >= 500 && status != 503 ? Effect::possible : Effect::none;
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
                                          const std::stop_token& stop) override {
    BUILDER_TRY_ASSIGN(const http::Response response,
                       post(deployment, "status", status_body(update), stop));
    return parse_status_answer(response.body);
  }

  Result<> post_log(const domain::DeploymentId& deployment, domain::LogType type,
                    const std::string& text, const std::stop_token& stop) override {
    if (text.empty()) {
      return {};  // The platform refuses an empty text, and there is nothing to show.
    }
    BUILDER_TRY(post(deployment, "logs", log_body(type, text), stop));
    return {};
  }

  Result<> probe(const std::stop_token& stop) override {
    const http::Request request{
        .url = settings_.api_url, .headers = {}, .timeout = k_probe_timeout};
    auto response = client_.send(request, stop, SteadyTime::max());
    if (!response) {
      return std::unexpected(std::move(response).error().with_context("the platform's API"));
    }
    return {};
  }

 private:
  Result<http::Response> post(const domain::DeploymentId& deployment, std::string_view what,
                              std::string body, const std::stop_token& stop) {
    const http::Request request{
        .method = http::Method::post,
        .url = fmt::format("{}/webhooks/deployments/{}/{}", settings_.api_url,
                           http::percent_encode(deployment.str()), what),
        .headers = {{.name = "Content-Type", .value = "application/json"},
                    {.name = "X-Api-Key", .value = settings_.api_key.reveal()}},
        .body = std::move(body)};
    auto response = client_.send(request, stop, SteadyTime::max());
    if (!response) {
      return std::unexpected(
          std::move(response).error().with_context(fmt::format("posting {}", what)));
    }
    if (auto accepted = classify(*response); !accepted) {
      return std::unexpected(
          std::move(accepted).error().with_context(fmt::format("posting {}", what)));
    }
    return response;
  }

  ReporterSettings settings_;
  http::Client& client_;
};

}  // namespace

std::string status_body(const ports::StatusUpdate& update) {
  Json body{{"status", ports::to_string(update.status)}};
  if (std::string error = one_line(update.error, k_error_characters); !error.empty()) {
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
  const auto answer = nlohmann::json::parse(body, nullptr, false);
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

Result<> classify(const http::Response& response) {
  if (response.ok()) {
    return {};
  }
  return std::unexpected(Error{.kind = kind_of(response.status),
                               .message = fmt::format("the platform answered {}: {}",
                                                      response.status, answer_text(response)),
                               .retry_after = response.retry_after(),
                               .effect = effect_of(response.status)});
}

std::unique_ptr<Reporter> make_reporter(ReporterSettings settings, http::Client& client) {
  return std::make_unique<HttpReporter>(std::move(settings), client);
}

}  // namespace builder::adapters::dashboard
