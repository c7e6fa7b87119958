#pragma once

#include "domain/image_layers.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

/// What the end of a build says of it, the same at the platform and on the command line.
namespace builder::domain {

/// "7.9s", "1m 12s", "1h 02m".
std::string time_in_words(std::chrono::milliseconds time);

/// The steps of a build that have ended, without the engine's own. Of fixed size, however many
/// there are.
class StepTally {
 public:
  struct Slow {
    std::string name;
    std::chrono::milliseconds duration{0};
  };

  void add(const std::string& name, std::chrono::milliseconds duration, bool cached);

  [[nodiscard]] std::size_t all() const { return all_; }

  [[nodiscard]] std::size_t cached() const { return cached_; }

  /// At most three that are worth telling, the longest first.
  [[nodiscard]] const std::vector<Slow>& slowest() const { return slowest_; }

 private:
  std::size_t all_ = 0;
  std::size_t cached_ = 0;
  std::vector<Slow> slowest_;
};

/// Zero: not known, and not said.
struct BuildFigures {
  std::uint64_t size = 0;           ///< Bytes of the image where it is kept unpacked …
  ImageSize packed = {};            ///< … and at a registry.
  std::uint64_t context_bytes = 0;  ///< Sent to the engine.
  std::uint64_t pushed_bytes = 0;   ///< What the registry did not have yet.
  StepTally steps;
};

/// `name` and `value` as a row of the end of a build.
std::string closing_row(const std::string& name, const std::string& value);

/// The rows in their order; names of steps are a stranger's text as it came.
std::vector<std::string> closing_rows(const BuildFigures& figures);

}  // namespace builder::domain
