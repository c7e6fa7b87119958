#pragma once

#include "ports/image_builder.hpp"

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace builder::build {

/// The version of a base image that a service's builds take.
struct PinnedBase {
  std::string digest;
  std::chrono::sys_seconds since{};  ///< When a build last took what the registry had.

  bool operator==(const PinnedBase&) const = default;
};

/// The base images that a service's builds have taken, by their names with a tag
/// (`domain::BaseImage::name`). The queue keeps it for the next deployment, on whatever worker.
class BasePins {
 public:
  /// So many are kept, those with the newest versions.
  static constexpr std::size_t k_most = 32;

  /// What cannot be read is forgotten.
  static BasePins read(std::string_view text);
  [[nodiscard]] std::string write() const;

  /// Those that count at `now`; they are renewed after `renew`, with zero never.
  [[nodiscard]] ports::ImagePins at(std::chrono::sys_seconds now, std::chrono::seconds renew) const;
  /// Null: it is not pinned.
  [[nodiscard]] const PinnedBase* find(std::string_view name) const;
  /// The image as the registry had it at `now`.
  void renew(const domain::BaseImage& image, std::chrono::sys_seconds now);

  [[nodiscard]] const std::map<std::string, PinnedBase, std::less<>>& all() const { return pins_; }

 private:
  std::map<std::string, PinnedBase, std::less<>> pins_;
};

}  // namespace builder::build
