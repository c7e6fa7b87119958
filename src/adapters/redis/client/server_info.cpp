#include "adapters/redis/client/server_info.hpp"

#include <charconv>
#include <cstdint>

namespace builder::adapters::redis {

std::string info_field(const std::string& info, const std::string& name) {
  // Of a line: another field's value may hold the name, a path for one.
  const std::string wanted = name + ":";
  std::size_t start = 0;
  while (info.compare(start, wanted.size(), wanted) != 0) {
    start = info.find('\n', start);
    if (start++ == std::string::npos) {
      return {};
    }
  }
  start += wanted.size();
  return info.substr(start, info.find_first_of("\r\n", start) - start);
}

ServerStart server_start(Connection& connection, const std::stop_token& stop) {
  const auto info = connection.call({"INFO", "server"}, stop);
  if (!info) {
    return {};
  }
  const std::string text = info_field(info->text, "uptime_in_seconds");
  std::int64_t uptime = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), uptime);
  if (read.ec != std::errc()) {
    return {};
  }
  return {.run_id = info_field(info->text, "run_id"), .uptime = std::chrono::seconds(uptime)};
}

}  // namespace builder::adapters::redis
