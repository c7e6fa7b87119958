#pragma once

#include "ports/image_builder.hpp"

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::build {

/// An image that a deployment made, and of what.
struct MadeImage {
  std::string inputs;      ///< `inputs_of`.
  std::string repository;  ///< `host[:port]/path`.
  std::string digest;
  std::vector<domain::BaseImage> bases;
  std::chrono::sys_seconds made_at{};
  std::string commit;

  bool operator==(const MadeImage&) const = default;
};

/// The last images of a service: the queue keeps it for the next deployment, on whatever worker.
class ImageMemory {
 public:
  /// So many are kept: about as many as people go back to.
  static constexpr std::size_t k_most = 20;
  /// Looking up more costs what the build would.
  static constexpr std::size_t k_most_bases = 8;

  /// What cannot be read is forgotten.
  static ImageMemory read(std::string_view text);
  [[nodiscard]] std::string write() const;

  /// Forgets what was made before `time`.
  void forget_before(std::chrono::sys_seconds time);
  /// The newest first. In its place among those with the same inputs and bases.
  void add(MadeImage image);
  /// The newest image of these inputs in this repository; null: none is known.
  [[nodiscard]] const MadeImage* find(std::string_view inputs, std::string_view repository) const;
  /// The names of base images, those of newer images first; at most `k_most_bases`.
  [[nodiscard]] std::vector<std::string> base_names() const;
  /// What the newest image that was made from this base knows of it; null: none was.
  [[nodiscard]] const domain::BaseImage* last(std::string_view base_name) const;

  [[nodiscard]] const std::vector<MadeImage>& images() const { return images_; }

 private:
  std::vector<MadeImage> images_;
};

}  // namespace builder::build
