#pragma once

#include "adapters/image_search/tar_names.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

namespace builder::adapters::sbom {

/// Takes files that hold SBOMs out of a tar as it comes, and nothing else. A link has no content.
/// Not thread-safe.
class SbomFiles {
 public:
  static constexpr std::size_t k_most_files = 32;
  static constexpr std::size_t k_largest_file = std::size_t{16} << 20U;
  static constexpr std::size_t k_largest_sum = std::size_t{32} << 20U;

  /// `is_wanted` decides by the path, which begins neither with '/' nor with './'. A tar longer
  /// than `limit` is refused.
  SbomFiles(std::function<bool(std::string_view path)> is_wanted, std::uint64_t limit)
      : is_wanted_(std::move(is_wanted)), limit_(limit) {}

  SbomFiles(const SbomFiles&) = delete;
  SbomFiles& operator=(const SbomFiles&) = delete;

  /// `invalid_input`: more or larger files than these, or a longer tar.
  Result<> feed(std::string_view piece);

  /// By their paths.
  [[nodiscard]] const std::map<std::string, std::string>& files() const { return files_; }

 private:
  void take(std::string_view bytes, std::string_view path, image_search::TarNames::Part part);

  const std::function<bool(std::string_view)> is_wanted_;
  const std::uint64_t limit_;
  std::map<std::string, std::string> files_;
  std::string* file_ = nullptr;  ///< The one whose content comes; null: of no interest.
  std::size_t sum_ = 0;
  std::uint64_t length_ = 0;
  const char* fault_ = nullptr;
  image_search::TarNames names_{
      [this](std::string_view bytes, std::string_view path, image_search::TarNames::Part part) {
        take(bytes, path, part);
      }};
};

}  // namespace builder::adapters::sbom
