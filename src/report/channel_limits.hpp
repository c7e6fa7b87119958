#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace builder::report {

struct BacklogLimits {
  std::size_t block = 64u << 10;  ///< Rows move to the disk in blocks of this size.
  std::size_t memory = 1u << 20;  ///< Waiting rows in memory; the rest is spooled.
  std::uint64_t spool = 0;        ///< The spool file's size; a setting.
  std::size_t tail = 2u << 20;    ///< The newest rows, kept when all that is full.
  std::uint64_t log = 0;          ///< Text of the whole log; 0: no limit. A setting.
  std::string spool_folder;       ///< Empty: no spool.
};

struct ChannelLimits {
  std::size_t post_bytes = 60'000;  ///< Text of one log post (the platform's column takes 65,535).
  std::chrono::milliseconds linger{100};  ///< At least this long between two log posts.
  /// Longest wait for the log before a final status, while the platform can be reached: then all
  /// but the last lines are dropped, and said to be.
  std::chrono::milliseconds final_flush{30'000};
  /// The same before CANCELLED, which somebody waits for; no line is kept then.
  std::chrono::milliseconds cancel_flush{1'000};
  BacklogLimits backlog;
};

}  // namespace builder::report
