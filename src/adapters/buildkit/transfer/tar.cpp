#include "adapters/buildkit/transfer/tar.hpp"

#include <algorithm>
#include <optional>

namespace builder::adapters::buildkit {

namespace {

constexpr std::size_t k_block = 512;
constexpr std::size_t k_most_files = 100;

/// A field of the header up to its first NUL.
std::string_view field(std::string_view header, std::size_t at, std::size_t size) {
  const std::string_view text = header.substr(at, size);
  return text.substr(0, text.find('\0'));
}

std::optional<std::size_t> octal(std::string_view text) {
  std::size_t number = 0;
  const auto first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) {
    return std::nullopt;
  }
  for (const char c : text.substr(first)) {
    if (c == ' ') {
      break;
    }
    if (c < '0' || c > '7' || number > (std::size_t{1} << 40U)) {
      return std::nullopt;
    }
    number = number * 8 + static_cast<std::size_t>(c - '0');
  }
  return number;
}

}  // namespace

Result<std::map<std::string, std::string>> read_tar(std::string_view tar) {
  std::map<std::string, std::string> files;
  while (tar.size() >= k_block) {
    const std::string_view header = tar.substr(0, k_block);
    tar.remove_prefix(k_block);
    if (header.find_first_not_of('\0') == std::string_view::npos) {
      return files;  // The end is marked by blocks of zeros.
    }
    const auto size = octal(field(header, 124, 12));
    if (!header.substr(257).starts_with("ustar") || !size || *size > tar.size()) {
      return failure(ErrorKind::internal, "the engine's result is no tar");
    }
    const char type = header[156];
    if ((type == '0' || type == '\0') && files.size() < k_most_files) {
      std::string_view name = field(header, 0, 100);
      if (name.starts_with("./")) {
        name.remove_prefix(2);
      }
      files[std::string(name)] = tar.substr(0, *size);
    }
    tar.remove_prefix(std::min(tar.size(), (*size + k_block - 1) / k_block * k_block));
  }
  return files;
}

}  // namespace builder::adapters::buildkit
