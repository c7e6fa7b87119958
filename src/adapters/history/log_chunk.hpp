#pragma once

#include "base/result.hpp"
#include "ports/build_history.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// How rows of a log lie in the file: a chunk of them, compressed with zlib. Each row is its time
/// (milliseconds since 1970), its number, its type and the length of its text (8, 8, 1 and 4 bytes,
/// little-endian), then the text.
namespace builder::adapters::history {

/// `domain::LineAssembler` makes no longer ones.
inline constexpr std::size_t k_longest_row = 64 * 1024;
/// A chunk takes no more rows from here on.
inline constexpr std::size_t k_chunk_bytes = 64 * 1024;

/// `row` is no longer than `k_longest_row`.
void append_row(std::string& chunk, const ports::KeptRow& row);
std::string compressed(std::string_view chunk);
/// The rows of a compressed chunk; `invalid_input` for anything else.
Result<std::vector<ports::KeptRow>> rows_of(std::string_view stored);

}  // namespace builder::adapters::history
