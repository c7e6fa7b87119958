#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace builder {

/// A nameless private file (0600) of blocks, for data that need not be in memory now. Nothing of it
/// is left after the process has ended, however it ends. Not thread-safe.
class SpoolFile {
 public:
  /// `limit`: the file never grows beyond it.
  static Result<SpoolFile> open(const std::string& folder, std::size_t block, std::uint64_t limit);

  [[nodiscard]] bool is_full() const { return free_.empty() && end_ == slots_; }

  /// Stores `data`, at most one block, and returns the slot. Must not be full.
  Result<std::size_t> write(std::string_view data);
  [[nodiscard]] Result<std::string> read(std::size_t slot, std::size_t size) const;
  /// Frees a slot. An empty file takes no room on the disk.
  void free(std::size_t slot);

 private:
  SpoolFile(Fd fd, std::size_t block, std::size_t slots)
      : fd_(std::move(fd)), block_(block), slots_(slots) {}

  [[nodiscard]] off_t offset(std::size_t slot) const { return static_cast<off_t>(slot * block_); }

  Fd fd_;
  std::size_t block_;
  std::size_t slots_;
  std::size_t end_ = 0;  ///< Slots in the file.
  std::vector<std::size_t> free_;
};

}  // namespace builder
