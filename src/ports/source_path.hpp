#pragma once

#include <string>
#include <string_view>

namespace builder::ports {

/// The path of `name` in `folder` of a SourceTree; the root is empty.
inline std::string path_in(std::string_view folder, std::string_view name) {
  return folder.empty() ? std::string(name) : std::string(folder).append("/").append(name);
}

/// The folder a path of a SourceTree lies in.
inline std::string_view folder_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

/// The last part of a path of a SourceTree.
inline std::string_view name_of(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace builder::ports
