#include "adapters/docker/json_lines.hpp"

namespace builder::adapters::docker {
namespace {

constexpr std::size_t k_longest_line = 1U << 20U;

}  // namespace

void JsonLines::feed(std::string_view chunk) {
  while (!chunk.empty()) {
    const auto end = chunk.find('\n');
    if (end == std::string_view::npos) {
      append(chunk);
      return;
    }
    append(chunk.substr(0, end));
    end_line();
    chunk.remove_prefix(end + 1);
  }
}

void JsonLines::finish() {
  end_line();
}

void JsonLines::append(std::string_view part) {
  if (too_long_ || partial_.size() + part.size() > k_longest_line) {
    too_long_ = true;
    partial_.clear();
    return;
  }
  partial_ += part;
}

void JsonLines::end_line() {
  std::string_view line = partial_;
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  if (!line.empty() && !too_long_) {
    on_line_(line);
  }
  partial_.clear();
  too_long_ = false;
}

}  // namespace builder::adapters::docker
