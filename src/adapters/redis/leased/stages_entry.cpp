#include "adapters/redis/leased/stages_entry.hpp"

#include "base/json.hpp"
#include "base/text.hpp"

#include <nlohmann/json.hpp>

namespace builder::adapters::redis {

namespace {

using Json = nlohmann::ordered_json;

bool is_commit(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) && is_hex(text);
}

bool is_text(std::string_view text) {
  return !text.empty();
}

}  // namespace

std::string write_stages(const domain::Stages& stages) {
  Json entry = Json::object();
  const auto put = [&entry](const char* name, const std::string& value) {
    if (!value.empty()) {
      entry[name] = value;
    }
  };
  put("commit", stages.commit);
  put("built", stages.image_id);
  put("repository", stages.repository);
  put("pushed", stages.digest);
  if (stages.promoted) {
    entry["promoted"] = true;
  }
  return entry.dump(-1, ' ', false, Json::error_handler_t::replace);
}

domain::Stages read_stages(std::string_view text) {
  const Json entry = parse_json<Json>(text);
  domain::Stages stages;
  if (!entry.is_object()) {
    return stages;
  }
  const auto get = [&entry](const char* name, bool (*is_valid)(std::string_view)) {
    const auto found = entry.find(name);
    std::string value =
        found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
    return is_valid(value) ? value : std::string();
  };
  stages.commit = get("commit", is_commit);
  stages.image_id = get("built", is_digest);
  stages.repository = get("repository", is_text);
  stages.digest = get("pushed", is_digest);
  const auto promoted = entry.find("promoted");
  stages.promoted = !stages.digest.empty() && promoted != entry.end() && *promoted == true;
  return stages;
}

}  // namespace builder::adapters::redis
