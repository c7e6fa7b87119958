#include "adapters/buildkit/diagnosis/error_details.hpp"

#include "base/json.hpp"

#include "rpc_status.pb.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>

namespace builder::adapters::buildkit {

namespace {

std::size_t line_of(const nlohmann::json& range, const char* end) {
  const auto position = range.find(end);
  return position == range.end() || !position->is_object()
             ? 0
             : position->value("line", std::size_t{0});
}

void read_detail(std::string_view type, const nlohmann::json& value, Details& details) {
  if (type == "errdefs.Source+json") {
    const auto ranges = value.find("ranges");
    if (ranges == value.end() || !ranges->is_array() || details.lines.first != 0) {
      return;
    }
    for (const auto& range : *ranges) {  // One for each line of the instruction.
      const std::size_t first = range.is_object() ? line_of(range, "start") : 0;
      if (first == 0) {
        continue;
      }
      details.lines.first = details.lines.first == 0 ? first : std::min(details.lines.first, first);
      details.lines.last = std::max({details.lines.last, first, line_of(range, "end")});
    }
  } else if (type == "errdefs.Vertex+json") {
    details.vertex = value.value("digest", "");
  } else if (type == "gatewayapi.ExitMessage+json") {
    details.exit_code = value.value("Code", 0);
  }
}

}  // namespace

Details read_details(const grpc::Status& status) {
  Details details;
  google::rpc::Status wire;
  if (status.error_details().empty() || !wire.ParseFromString(status.error_details())) {
    return details;
  }
  for (const auto& any : wire.details()) {
    const auto value = parse_json(any.value());
    if (!value.is_object()) {
      continue;
    }
    const std::string_view url = any.type_url();
    try {
      read_detail(url.substr(url.rfind('/') + 1), value, details);
    } catch (const nlohmann::json::exception&) {
      continue;  // A field of another type than known: as good as absent.
    }
  }
  return details;
}

}  // namespace builder::adapters::buildkit
