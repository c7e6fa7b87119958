#include "adapters/redis/leased/checkpoint_entry.hpp"

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

std::string write_checkpoint(const domain::Checkpoint& checkpoint) {
  Json entry = Json::object();
  const auto put = [&entry](const char* name, const std::string& value) {
    if (!value.empty()) {
      entry[name] = value;
    }
  };
  put("commit", checkpoint.commit);
  put("built", checkpoint.image_id);
  put("repository", checkpoint.repository);
  put("pushed", checkpoint.digest);
  if (checkpoint.promoted) {
    entry["promoted"] = true;
  }
  return entry.dump(-1, ' ', false, Json::error_handler_t::replace);
}

domain::Checkpoint read_checkpoint(std::string_view text) {
  const Json entry = parse_json<Json>(text);
  domain::Checkpoint checkpoint;
  if (!entry.is_object()) {
    return checkpoint;
  }
  const auto get = [&entry](const char* name, bool (*is_valid)(std::string_view)) {
    const auto found = entry.find(name);
    std::string value =
        found != entry.end() && found->is_string() ? found->get<std::string>() : std::string();
    return is_valid(value) ? value : std::string();
  };
  checkpoint.commit = get("commit", is_commit);
  checkpoint.image_id = get("built", is_digest);
  checkpoint.repository = get("repository", is_text);
  checkpoint.digest = get("pushed", is_digest);
  const auto promoted = entry.find("promoted");
  checkpoint.promoted = !checkpoint.digest.empty() && promoted != entry.end() && *promoted == true;
  return checkpoint;
}

}  // namespace builder::adapters::redis
