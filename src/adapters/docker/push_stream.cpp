#include "adapters/docker/push_stream.hpp"

#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <numeric>

namespace builder::adapters::docker {
namespace {

using nlohmann::json;

std::string string_field(const json& object, const char* name) {
  const auto field = object.find(name);
  return field != object.end() && field->is_string() ? field->get<std::string>() : std::string();
}

std::uint64_t number_field(const json& object, const char* name) {
  const auto field = object.find(name);
  if (field == object.end() || !field->is_number_integer() || field->get<std::int64_t>() < 0) {
    return 0;
  }
  return field->get<std::uint64_t>();
}

/// Of "TAG: digest: sha256:… size: N"; empty for any other status.
std::string digest_in(std::string_view status) {
  constexpr std::string_view k_label = ": digest: ";
  constexpr std::size_t k_size = std::string_view("sha256:").size() + 64;
  const auto label = status.find(k_label);
  if (label == std::string_view::npos) {
    return {};
  }
  const std::string_view digest = status.substr(label + k_label.size()).substr(0, k_size);
  return std::string(is_digest(digest) ? digest : std::string_view());
}

}  // namespace

void PushStream::take(std::string_view line) {
  const auto record = json::parse(line, nullptr, false);
  if (!record.is_object()) {
    return;
  }
  if (const auto detail = record.find("errorDetail");
      detail != record.end() && detail->is_object()) {
    error_ = string_field(*detail, "message");
  }
  if (error_.empty()) {
    error_ = string_field(record, "error");
  }
  if (const auto aux = record.find("aux"); aux != record.end() && aux->is_object()) {
    if (std::string digest = string_field(*aux, "Digest"); !digest.empty()) {
      digest_ = std::move(digest);
    }
  }
  const std::string layer = string_field(record, "id");
  if (layer.empty() && digest_.empty()) {
    digest_ = digest_in(string_field(record, "status"));
  }
  const auto progress = record.find("progressDetail");
  if (layer.empty() || progress == record.end() || !progress->is_object() ||
      string_field(record, "status") != "Pushing") {
    return;
  }
  // The Engine may count beyond the total (archive padding).
  const std::uint64_t total = number_field(*progress, "total");
  std::uint64_t current = number_field(*progress, "current");
  if (total > 0) {
    current = std::min(current, total);
  }
  auto& known = layers_[layer];
  known = std::max(known, current);
}

std::uint64_t PushStream::bytes_pushed() const {
  return std::accumulate(layers_.begin(), layers_.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const auto& layer) { return sum + layer.second; });
}

}  // namespace builder::adapters::docker
