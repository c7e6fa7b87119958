#include "base/log.hpp"

#include <algorithm>

namespace builder {

std::string in_front(const LogFields& fields) {
  std::string text;
  for (const LogField& field : fields) {
    const bool is_plain =
        !field.value.empty() && field.value.find_first_of(" \t\r\n\"=\\") == std::string::npos;
    text += field.name + "=";
    if (is_plain) {
      text += field.value;
    } else {
      text += '"';
      for (const char byte : field.value) {
        text += byte == '"' || byte == '\\' ? "\\" : "";
        text += byte;
      }
      text += '"';
    }
    text += ' ';
  }
  return text;
}

Log Log::with(std::string_view name, std::string_view value) const {
  Log copy = *this;
  const auto bound = std::ranges::find(copy.fields_, name, &LogField::name);
  if (bound != copy.fields_.end()) {
    bound->value = value;
  } else {
    copy.fields_.push_back({std::string(name), std::string(value)});
  }
  return copy;
}

}  // namespace builder
