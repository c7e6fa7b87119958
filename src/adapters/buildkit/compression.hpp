#pragma once

#include <optional>
#include <string>

namespace builder::adapters::buildkit {

/// How the layers a build adds are packed; those of its base images stay as they are.
struct Compression {
  std::string type = "gzip";  ///< As BuildKit calls it: `gzip`, `estargz` or `zstd`.
  std::optional<int> level;   ///< nullopt: the engine decides.

  bool operator==(const Compression&) const = default;
};

}  // namespace builder::adapters::buildkit
