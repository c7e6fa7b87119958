#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"

#include <cstdint>
#include <string>
#include <utility>

/// Who writes a history, and whether it lives: each writer has locked one byte of a file beside the
/// history, at the place of its own random number, as long as its process lives. The kernel gives
/// the lock back, however the process ends; no clock and no list is needed.
namespace builder::adapters::history {

class WriterLock {
 public:
  static Result<WriterLock> open(const std::string& path);

  /// From 1 on; random, so that it stays this writer's in whatever file it has written.
  [[nodiscard]] std::int64_t number() const { return number_; }

  /// Whether others still see it: the file may have been removed.
  [[nodiscard]] bool is_at(const std::string& path) const;

 private:
  WriterLock(Fd file, std::int64_t number) : file_(std::move(file)), number_(number) {}

  Fd file_;
  std::int64_t number_;
};

/// As long as it is held, nobody else makes, changes or moves the history. Waits for two
/// seconds at most; `unavailable`: somebody still does.
Result<Fd> lock_alone(const std::string& path);

/// Whether the writer of this number lives. Unknown ones, and those of a file that is gone, do not.
bool is_writing(const Fd& file, std::int64_t number);

}  // namespace builder::adapters::history
