#include "adapters/remote_history/wire.hpp"

#include "adapters/http/message.hpp"
#include "base/iso_time.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "domain/deployment_request.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

namespace builder::adapters::remote_history {

namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::string_view k_root = "/history";
constexpr std::string_view k_runs = "/runs/";
constexpr std::string_view k_log = "/log";
/// No text in a run is longer, but for a row of its log.
constexpr std::size_t k_longest_text = 4 * 1024;
constexpr std::size_t k_longest_row = std::size_t{64} * 1024;
constexpr std::size_t k_most_variables = 200;
constexpr std::size_t k_longest_name = 128;
constexpr std::size_t k_most_settings = 20;
constexpr std::size_t k_longest_value = 1'024;

/// null where there is none.
Json text(std::string_view value) {
  return value.empty() ? Json(nullptr) : Json(std::string(truncate_bytes(value, k_longest_text)));
}

std::string dumped(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// Adds to a list as long as there is room; counts the rest.
class Room {
 public:
  explicit Room(std::size_t bytes) : left_(bytes) {}

  bool take(const Json& value) { return take(dumped(value).size()); }

  bool take(std::size_t bytes) {
    if (bytes > left_) {
      left_ = 0;
      return false;
    }
    left_ -= bytes;
    return true;
  }

  [[nodiscard]] std::size_t left() const { return left_; }

 private:
  std::size_t left_;
};

template <class Items, class Make>
Json list(const Items& items, Room& room, std::size_t& left_out, Make&& make) {
  auto array = Json::array();
  for (const auto& item : items) {
    Json value = make(item);
    if (!room.take(value)) {
      left_out += items.size() - array.size();
      break;
    }
    array.push_back(std::move(value));
  }
  return array;
}

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number >= 0
             ? std::optional(number)
             : std::nullopt;
}

std::uint64_t number_in(const json& object, const char* field) {
  const auto found = object.find(field);
  return found == object.end() ? 0 : found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

template <class Number>
Number small_number_in(const json& object, const char* field) {
  return static_cast<Number>(std::min<std::uint64_t>(
      number_in(object, field), static_cast<std::uint64_t>(std::numeric_limits<Number>::max())));
}

bool flag_in(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

/// A year at most: it is added to others.
milliseconds duration_in(const json& object, const char* field) {
  constexpr std::uint64_t k_year = 366ULL * 24 * 3600 * 1000;
  return milliseconds(std::min(number_in(object, field), k_year));
}

std::optional<ports::HistoryTime> time_in(const json& object, const char* field) {
  return parse_iso_time(text_of(object, field));
}

/// What is below `field`, if that is a list; only its objects.
template <class Read>
void for_each(const json& object, const char* field, Read&& read) {
  const auto found = object.find(field);
  if (found == object.end() || !found->is_array()) {
    return;
  }
  for (const json& item : *found) {
    if (item.is_object()) {
      read(item);
    }
  }
}

domain::LogType type_of(std::string_view word) {
  using enum domain::LogType;
  constexpr std::array k_types{stdout_, stderr_, info, warning, error};
  const auto found = std::ranges::find_if(
      k_types, [&](domain::LogType type) { return domain::to_string(type) == word; });
  return found == k_types.end() ? info : *found;
}

ports::KeptRun read_run(const json& object) {
  ports::KeptRun run;
  run.id = small_number_in<std::int64_t>(object, "run");
  run.start = {.deployment = domain::DeploymentId(text_of(object, "deployment")),
               .service = domain::ServiceId(text_of(object, "service")),
               .attempt = small_number_in<int>(object, "attempt"),
               .repository = text_of(object, "repository"),
               .branch = text_of(object, "branch"),
               .dockerfile = text_of(object, "dockerfile"),
               .variables = {},
               .engine = text_of(object, "engine"),
               .version = text_of(object, "version"),
               .worker = text_of(object, "worker")};
  run.started = time_in(object, "started").value_or(ports::HistoryTime{});
  run.ended = time_in(object, "ended");
  run.end = {.outcome = text_of(object, "outcome"),
             .category = text_of(object, "category"),
             .reason = text_of(object, "reason"),
             .line = text_of(object, "line"),
             .advice = text_of(object, "advice"),
             .commit = text_of(object, "commit"),
             .image = text_of(object, "image"),
             .digest = text_of(object, "digest"),
             .context_bytes = number_in(object, "context_bytes"),
             .pushed_bytes = number_in(object, "pushed_bytes")};
  run.steps = small_number_in<std::size_t>(object, "step_count");
  run.cached = small_number_in<std::size_t>(object, "cached_count");
  return run;
}

Result<json> read(std::string_view answer, const char* field) {
  json object = parse_json(answer);
  if (!object.is_object() || !object.contains(field) || !object[field].is_array()) {
    return failure(ErrorKind::internal,
                   "the answer is not a history's: " + printable_line(answer.substr(0, 400), 100));
  }
  return object;
}

/// The values of a query; a name that is not known is no error: a newer version may ask for more.
template <class Take>
Result<> read_query(std::string_view query, Take&& take) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(pair.size() + 1, query.size()));
    const std::size_t equals = pair.find('=');
    const std::string name(pair.substr(0, equals));
    if (equals != std::string_view::npos &&
        !take(name, http::percent_decode(pair.substr(equals + 1)))) {
      return failure(ErrorKind::invalid_input, "this value is not understood: " + name);
    }
  }
  return {};
}

template <class Target>
bool assign(Target& target, std::optional<Target> value) {
  if (!value) {
    return false;
  }
  target = *std::move(value);
  return true;
}

Result<Question> read_list_query(std::string_view query) {
  ports::RunFilter filter;
  BUILDER_TRY(read_query(query, [&](const std::string& name, std::string value) {
    if (name == "service") {
      filter.service = std::move(value);
    } else if (name == "outcome") {
      filter.outcome = std::move(value);
    } else if (name == "since") {
      filter.since = parse_iso_time(value);
      return filter.since.has_value();
    } else if (name == "before") {
      filter.before = number_of<std::int64_t>(value);
      return filter.before.has_value();
    } else if (name == "n") {
      return assign(filter.most, number_of<std::size_t>(value));
    }
    return true;
  }));
  filter.most = std::clamp<std::size_t>(filter.most, 1, k_most_runs);
  return filter;
}

Result<Question> read_log_target(std::string_view path, std::string_view query) {
  LogPart part;
  path.remove_prefix(k_runs.size());
  if (!path.ends_with(k_log) ||
      !assign(part.run, number_of<std::int64_t>(path.substr(0, path.size() - k_log.size())))) {
    return failure(ErrorKind::not_found, "there is no such page");
  }
  BUILDER_TRY(read_query(query, [&](const std::string& name, const std::string& value) {
    return name != "from" || assign(part.from, number_of<std::uint64_t>(value));
  }));
  return part;
}

}  // namespace

std::string target_of(const Question& question) {
  std::string target(k_root);
  if (const auto* const id = std::get_if<domain::DeploymentId>(&question)) {
    return target + "/" + http::percent_encode(id->str());
  }
  if (const auto* const part = std::get_if<LogPart>(&question)) {
    return target.append(k_runs) + std::to_string(part->run) + std::string(k_log) +
           "?from=" + std::to_string(part->from);
  }
  const auto& filter = std::get<ports::RunFilter>(question);
  target += "?n=" + std::to_string(filter.most);
  if (!filter.service.empty()) {
    target += "&service=" + http::percent_encode(filter.service);
  }
  if (!filter.outcome.empty()) {
    target += "&outcome=" + http::percent_encode(filter.outcome);
  }
  if (filter.since) {
    target += "&since=" + iso_time(*filter.since);
  }
  if (filter.before) {
    target += "&before=" + std::to_string(*filter.before);
  }
  return target;
}

Result<Question> read_target(std::string_view target) {
  const std::size_t mark = std::min(target.find('?'), target.size());
  std::string_view path = target.substr(0, mark);
  const std::string_view query = target.substr(std::min(mark + 1, target.size()));
  path.remove_prefix(std::min(k_root.size(), path.size()));
  if (path.empty()) {
    return read_list_query(query);
  }
  if (path.starts_with(k_runs)) {
    return read_log_target(path, query);
  }
  auto id = domain::parse_deployment_id(http::percent_decode(path.substr(1)));
  if (!id) {
    return failure(ErrorKind::not_found, "there is no such page");
  }
  return *std::move(id);
}

Json run_json(const ports::KeptRun& run) {
  const ports::RunStart& start = run.start;
  const ports::RunEnd& end = run.end;
  return {{"run", run.id},
          {"deployment", start.deployment.str()},
          {"service", text(start.service.str())},
          {"attempt", start.attempt},
          {"worker", text(start.worker)},
          {"version", text(start.version)},
          {"engine", text(start.engine)},
          {"repository", text(start.repository)},
          {"branch", text(start.branch)},
          {"dockerfile", text(start.dockerfile)},
          {"started", iso_time(run.started)},
          {"ended", run.ended ? Json(iso_time(*run.ended)) : Json(nullptr)},
          {"outcome", text(end.outcome)},
          {"category", text(end.category)},
          {"reason", text(end.reason)},
          {"line", text(end.line)},
          {"advice", text(end.advice)},
          {"commit", text(end.commit)},
          {"image", text(end.image)},
          {"digest", text(end.digest)},
          {"context_bytes", end.context_bytes},
          {"pushed_bytes", end.pushed_bytes},
          {"step_count", run.steps},
          {"cached_count", run.cached}};
}

Json details_json(const ports::KeptRunDetails& details, std::size_t room_for_lists) {
  Room room(room_for_lists);
  std::size_t left_out = 0;
  Json json = run_json(details.run);
  json["variables"] = Json::array();
  for (const std::string& name : details.run.start.variables) {
    if (json["variables"].size() < k_most_variables) {
      json["variables"].push_back(truncate_bytes(name, k_longest_name));
    }
  }
  json["settings"] = Json::array();
  for (const auto& [name, value] : details.run.start.settings) {
    if (json["settings"].size() < k_most_settings) {
      json["settings"].push_back({{"name", truncate_bytes(name, k_longest_name)},
                                  {"value", truncate_bytes(value, k_longest_value)}});
    }
  }
  json["port"] = details.run.start.port;
  json["bases"] = list(details.bases, room, left_out, [](const auto& base) {
    return Json{{"reference", text(base.first)}, {"digest", text(base.second)}};
  });
  json["phases"] = list(details.phases, room, left_out, [](const auto& phase) {
    return Json{{"name", text(phase.first)}, {"duration_ms", phase.second.count()}};
  });
  json["steps"] = list(details.steps, room, left_out, [](const ports::RunStep& step) {
    return Json{{"name", text(step.name)},
                {"duration_ms", step.duration.count()},
                {"cached", step.cached},
                {"failed", step.failed}};
  });
  json["left_out"] = left_out;
  json["rows"] = details.rows;
  json["rows_lost"] = details.rows_lost;
  return json;
}

Json row_json(const ports::KeptRow& row) {
  return {{"row", row.number},
          {"time", iso_time(row.time)},
          {"type", domain::to_string(row.type)},
          {"line", truncate_bytes(row.line, k_longest_row)}};
}

std::string runs_answer(const std::vector<ports::KeptRun>& runs) {
  Room room(k_answer_bytes);
  auto array = Json::array();
  for (const ports::KeptRun& run : runs) {
    Json json = run_json(run);
    if (!room.take(json) && !array.empty()) {
      break;  // Whoever wants the next page asks for those before the last one here.
    }
    array.push_back(std::move(json));
  }
  return dumped({{"runs", std::move(array)}});
}

std::string details_answer(const std::vector<ports::KeptRunDetails>& all) {
  Room room(k_answer_bytes);
  auto array = Json::array();
  for (const ports::KeptRunDetails& details : all) {
    Json json = details_json(details, room.left());
    if (!room.take(json) && !array.empty()) {
      break;
    }
    array.push_back(std::move(json));
  }
  return dumped({{"runs", std::move(array)}});
}

bool RowsAnswer::add(const ports::KeptRow& row) {
  const std::string json = dumped(row_json(row));
  if (!rows_.empty() && rows_.size() + json.size() > k_answer_bytes) {
    return false;
  }
  rows_ += (rows_.empty() ? "" : ",") + json;
  return true;
}

Result<std::vector<ports::KeptRun>> read_runs(std::string_view answer) {
  BUILDER_TRY_ASSIGN(const json object, read(answer, "runs"));
  std::vector<ports::KeptRun> runs;
  for_each(object, "runs", [&](const json& item) { runs.push_back(read_run(item)); });
  return runs;
}

Result<std::vector<ports::KeptRunDetails>> read_details(std::string_view answer) {
  BUILDER_TRY_ASSIGN(const json object, read(answer, "runs"));
  std::vector<ports::KeptRunDetails> all;
  for_each(object, "runs", [&](const json& item) {
    ports::KeptRunDetails details{.run = read_run(item)};
    if (const auto names = item.find("variables"); names != item.end() && names->is_array()) {
      for (const json& name : *names) {
        if (name.is_string()) {
          details.run.start.variables.push_back(name.get<std::string>());
        }
      }
    }
    for_each(item, "settings", [&](const json& setting) {
      details.run.start.settings.emplace_back(text_of(setting, "name"), text_of(setting, "value"));
    });
    details.run.start.port = small_number_in<std::uint16_t>(item, "port");
    for_each(item, "bases", [&](const json& base) {
      details.bases.emplace_back(text_of(base, "reference"), text_of(base, "digest"));
    });
    for_each(item, "phases", [&](const json& phase) {
      details.phases.emplace_back(text_of(phase, "name"), duration_in(phase, "duration_ms"));
    });
    for_each(item, "steps", [&](const json& step) {
      details.steps.push_back({.name = text_of(step, "name"),
                               .duration = duration_in(step, "duration_ms"),
                               .cached = flag_in(step, "cached"),
                               .failed = flag_in(step, "failed")});
    });
    details.rows = number_in(item, "rows");
    details.rows_lost = number_in(item, "rows_lost");
    all.push_back(std::move(details));
  });
  return all;
}

Result<std::vector<ports::KeptRow>> read_rows(std::string_view answer) {
  BUILDER_TRY_ASSIGN(const json object, read(answer, "rows"));
  std::vector<ports::KeptRow> rows;
  for_each(object, "rows", [&](const json& item) {
    rows.push_back({.number = number_in(item, "row"),
                    .time = time_in(item, "time").value_or(ports::HistoryTime{}),
                    .type = type_of(text_of(item, "type")),
                    .line = text_of(item, "line")});
  });
  return rows;
}

}  // namespace builder::adapters::remote_history
