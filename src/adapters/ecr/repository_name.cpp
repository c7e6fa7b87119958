#include "adapters/ecr/repository_name.hpp"

namespace builder::adapters::ecr {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/// Length of the separator `text` begins with: one of `.`, `_`, `__`, `-…`; 0 when there is none.
std::size_t separator_length(std::string_view text) {
  if (text.starts_with("__")) {
    return 2;
  }
  if (text.starts_with('.') || text.starts_with('_')) {
    return 1;
  }
  return std::min(text.find_first_not_of('-'), text.size());
}

bool is_segment(std::string_view text) {
  while (!text.empty()) {
    if (!is_word(text.front())) {
      return false;
    }
    while (!text.empty() && is_word(text.front())) {
      text.remove_prefix(1);
    }
    if (text.empty()) {
      return true;
    }
    const std::size_t separator = separator_length(text);
    if (separator == 0) {
      return false;
    }
    text.remove_prefix(separator);
  }
  return false;
}

}  // namespace

bool is_repository_name(std::string_view name) {
  if (name.size() < 2 || name.size() > 256) {
    return false;
  }
  for (;;) {
    const auto slash = name.find('/');
    if (!is_segment(name.substr(0, slash))) {
      return false;
    }
    if (slash == std::string_view::npos) {
      return true;
    }
    name.remove_prefix(slash + 1);
  }
}

Result<std::string> repository_name(const domain::ServiceId& service) {
  std::string name = "deployra/" + service.str();
  if (service.str().contains('/') || !is_repository_name(name)) {
    return failure(ErrorKind::invalid_input,
                   "the service's identifier cannot be part of a repository name");
  }
  return name;
}

}  // namespace builder::adapters::ecr
