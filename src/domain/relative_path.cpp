#include "domain/relative_path.hpp"

#include <algorithm>
#include <vector>

namespace builder::domain {

Result<std::string> clean_relative_path(std::string_view path) {
  if (path.starts_with('/')) {
    return failure(ErrorKind::invalid_input, "path is absolute");
  }
  if (std::ranges::any_of(path, [](char c) { return static_cast<unsigned char>(c) < 0x20; })) {
    return failure(ErrorKind::invalid_input, "path holds control characters");
  }
  std::vector<std::string_view> parts;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    path.remove_prefix(std::min(slash + 1, path.size()));
    if (part == "..") {
      if (parts.empty()) {
        return failure(ErrorKind::invalid_input, "path leaves the tree");
      }
      parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
  }
  if (parts.empty()) {
    return failure(ErrorKind::invalid_input, "path names no file");
  }
  std::string cleaned;
  for (const std::string_view part : parts) {
    cleaned += cleaned.empty() ? "" : "/";
    cleaned += part;
  }
  return cleaned;
}

}  // namespace builder::domain
