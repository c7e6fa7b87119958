#include "adapters/redis/leased/outbox_entry.hpp"

#include "base/json.hpp"

#include <nlohmann/json.hpp>

#include <array>

namespace builder::adapters::redis {

namespace {

using Json = nlohmann::ordered_json;
using domain::LogType;
using ports::DeploymentStatus;
using ports::Verdict;

constexpr std::array k_statuses{DeploymentStatus::building, DeploymentStatus::builded,
                                DeploymentStatus::failed, DeploymentStatus::cancelled};
constexpr std::array k_types{LogType::stdout_, LogType::stderr_, LogType::info, LogType::warning,
                             LogType::error};

std::string text_of(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

}  // namespace

std::string write_entry(const ports::StatusUpdate& update) {
  Json entry{{"status", ports::to_string(update.status)}};
  if (!update.error.empty()) {
    entry["error"] = update.error;
  }
  if (update.log) {
    entry["type"] = domain::to_string(update.log->type);
    entry["text"] = update.log->text;
  }
  if (!update.image_uri.empty()) {
    entry["image"] = update.image_uri;
  }
  return entry.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string write_entry(const ports::Ending& ending) {
  switch (ending.verdict) {
    case Verdict::cancelled_by_user:
      return R"({"status":"CANCELLED","reason":"user"})";
    case Verdict::superseded:
      return R"({"status":"CANCELLED","reason":"superseded"})";
    case Verdict::attempts_used:
      return R"({"status":"FAILED","reason":"attempts"})";
    case Verdict::as_reported:
      break;
  }
  return write_entry(ending.update);
}

Result<ports::Ending> read_entry(std::string_view text) {
  const Json entry = parse_json<Json>(text);
  if (!entry.is_object()) {
    return failure(ErrorKind::internal, "an outbox entry is no JSON object");
  }
  if (const std::string reason = text_of(entry, "reason"); !reason.empty()) {
    const Verdict verdict = reason == "user"         ? Verdict::cancelled_by_user
                            : reason == "superseded" ? Verdict::superseded
                                                     : Verdict::attempts_used;
    return ports::Ending{.verdict = verdict, .update = {}};
  }
  ports::Ending ending;
  const std::string status = text_of(entry, "status");
  for (const DeploymentStatus known : k_statuses) {
    if (status == ports::to_string(known)) {
      ending.update.status = known;
    }
  }
  if (ending.update.status == DeploymentStatus::building) {
    return failure(ErrorKind::internal, "an outbox entry has no final status");
  }
  ending.update.error = text_of(entry, "error");
  ending.update.image_uri = text_of(entry, "image");
  if (const std::string log = text_of(entry, "text"); !log.empty()) {
    domain::Message message{LogType::info, log};
    for (const LogType known : k_types) {
      if (text_of(entry, "type") == domain::to_string(known)) {
        message.type = known;
      }
    }
    ending.update.log = std::move(message);
  }
  return ending;
}

}  // namespace builder::adapters::redis
