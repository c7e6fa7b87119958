#pragma once

#include <compare>
#include <string>
#include <vector>

namespace builder::domain {

/// A file that a build got over HTTP.
struct Download {
  std::string url;     ///< Without user, query and fragment: they may be secrets.
  std::string digest;  ///< `sha256:…`, of what was sent.

  auto operator<=>(const Download&) const = default;
};

struct Downloads {
  std::vector<Download> files;
  /// Nothing else came from the network: each step ran in this build, and each answer is here.
  bool are_all = false;

  bool operator==(const Downloads&) const = default;
};

}  // namespace builder::domain
