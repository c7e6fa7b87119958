#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace builder::adapters::image_search {

/// Unpacks a layer as it comes: gzip (also several streams in a row, as eStargz has them), zstd, or
/// none; its first bytes decide. Takes less than half a megabyte, zstd up to 32 MiB for its window.
/// Not thread-safe.
class Unpacker {
 public:
  /// Gets what is unpacked; false ends it with `cancelled`.
  using Take = std::function<bool(std::string_view)>;

  virtual ~Unpacker() = default;
  /// `invalid_input`: these are not the bytes of such a layer, or they need too large a window.
  virtual Result<> feed(std::string_view packed) = 0;
  /// The layer ends here. `invalid_input`: it is cut short.
  virtual Result<> finish() = 0;
};

std::unique_ptr<Unpacker> make_unpacker(Unpacker::Take take);

}  // namespace builder::adapters::image_search
