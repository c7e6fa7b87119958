#include "adapters/history/log_chunk.hpp"

#include "base/check.hpp"

#include <zlib.h>

#include <cstdint>
#include <optional>
#include <utility>

namespace builder::adapters::history {

namespace {

/// Of the largest chunk: its last row may begin just below the limit.
constexpr std::size_t k_most_bytes = k_chunk_bytes + k_longest_row + 64;
/// Logs shrink to a tenth with it, at 100 MB/s; higher levels take several times as long.
constexpr int k_level = 1;

void append_integer(std::string& out, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) {
    out += static_cast<char>(value >> (8 * i));
  }
}

std::optional<std::uint64_t> take_integer(std::string_view& in, std::size_t bytes) {
  if (in.size() < bytes) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    value |= std::uint64_t(static_cast<unsigned char>(in[i])) << (8 * i);
  }
  in.remove_prefix(bytes);
  return value;
}

std::unexpected<Error> damaged() {
  return failure(ErrorKind::invalid_input, "the history is damaged: a piece of a log");
}

}  // namespace

void append_row(std::string& chunk, const ports::KeptRow& row) {
  append_integer(chunk, static_cast<std::uint64_t>(row.time.time_since_epoch().count()), 8);
  append_integer(chunk, row.number, 8);
  append_integer(chunk, static_cast<std::uint64_t>(row.type), 1);
  append_integer(chunk, row.line.size(), 4);
  chunk += row.line;
}

std::string compressed(std::string_view chunk) {
  uLongf size = compressBound(chunk.size());
  std::string out(size, '\0');
  BUILDER_CHECK(compress2(reinterpret_cast<Bytef*>(out.data()), &size,
                          reinterpret_cast<const Bytef*>(chunk.data()), chunk.size(),
                          k_level) == Z_OK);
  out.resize(size);
  return out;
}

Result<std::vector<ports::KeptRow>> rows_of(std::string_view stored) {
  std::string chunk(k_most_bytes, '\0');
  uLongf size = chunk.size();
  if (uncompress(reinterpret_cast<Bytef*>(chunk.data()), &size,
                 reinterpret_cast<const Bytef*>(stored.data()), stored.size()) != Z_OK) {
    return damaged();
  }
  std::vector<ports::KeptRow> rows;
  for (std::string_view rest(chunk.data(), size); !rest.empty();) {
    const auto time = take_integer(rest, 8);
    const auto number = take_integer(rest, 8);
    const auto type = take_integer(rest, 1);
    const auto length = take_integer(rest, 4);
    if (!length || *length > rest.size() ||
        *type > static_cast<std::uint64_t>(domain::LogType::error)) {
      return damaged();
    }
    rows.push_back(
        {.number = *number,
         .time = ports::HistoryTime(std::chrono::milliseconds(static_cast<std::int64_t>(*time))),
         .type = static_cast<domain::LogType>(*type),
         .line = std::string(rest.substr(0, *length))});
    rest.remove_prefix(*length);
  }
  return rows;
}

}  // namespace builder::adapters::history
