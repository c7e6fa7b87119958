#include "adapters/docker/push_stream.hpp"

#include "base/json.hpp"
#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace builder::adapters::docker {
namespace {

using nlohmann::json;

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

/// "Preparing", "Waiting", "Pushing" with its figures, then "Pushed"; or "Layer already exists".
void take_layer(PushStream::Layer& layer, const json& record) {
  const std::string status = text_of(record, "status");
  layer.waits = status == "Preparing" || status == "Waiting";
  if (status == "Pushed") {
    layer.sent = std::max(layer.sent, layer.total);
  }
  const auto progress = record.find("progressDetail");
  if (status != "Pushing" || progress == record.end() || !progress->is_object()) {
    return;
  }
  layer.total = std::max(layer.total, number_field(*progress, "total"));
  std::uint64_t current = number_field(*progress, "current");
  if (layer.total > 0) {
    current = std::min(current, layer.total);  // The Engine counts the archive's padding as well.
  }
  layer.sent = std::max(layer.sent, current);
}

}  // namespace

void PushStream::take(std::string_view line) {
  const auto record = parse_json(line);
  if (!record.is_object()) {
    return;
  }
  if (const auto detail = record.find("errorDetail");
      detail != record.end() && detail->is_object()) {
    error_ = text_of(*detail, "message");
  }
  if (error_.empty()) {
    error_ = text_of(record, "error");
  }
  if (const auto aux = record.find("aux"); aux != record.end() && aux->is_object()) {
    if (std::string digest = text_of(*aux, "Digest"); !digest.empty()) {
      digest_ = std::move(digest);
    }
  }
  const std::string layer = text_of(record, "id");
  if (layer.empty() && digest_.empty()) {
    digest_ = digest_in(text_of(record, "status"));
  }
  if (!layer.empty()) {
    take_layer(layers_[layer], record);
  }
}

oci::PushedBytes PushStream::bytes() const {
  oci::PushedBytes all;
  bool is_known = true;
  for (const auto& [id, layer] : layers_) {
    all.sent += layer.sent;
    all.total += layer.total;
    is_known = is_known && !layer.waits;
  }
  return {.sent = all.sent, .total = is_known ? all.total : 0};
}

}  // namespace builder::adapters::docker
