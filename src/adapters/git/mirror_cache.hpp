#pragma once

#include <cstddef>
#include <cstdint>
#include <stop_token>
#include <string>

namespace builder::adapters::git {

struct SweptMirrors {
  std::uint64_t kept = 0;   ///< Bytes on disk of the mirrors that are left.
  std::uint64_t freed = 0;  ///< Bytes of those removed.
  std::size_t removed = 0;
};

/// Removes mirrors of `work_dir`, those first that were not used for longest, until at most
/// `budget` bytes are left and at least `must_free` bytes were freed. None that a build of this or
/// another process uses. May run beside builds; what they need again is fetched again.
SweptMirrors sweep_mirrors(const std::string& work_dir, std::uint64_t budget,
                           std::uint64_t must_free, const std::stop_token& stop);

}  // namespace builder::adapters::git
