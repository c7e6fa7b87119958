#pragma once

#include "base/result.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace builder::ports {

enum class FileType { regular, directory, symlink, other };

/// Stands for the content of a file, or the target of a symlink: different contents never have the
/// same one; where a content comes from may matter as well. Zeros: a folder.
using ContentId = std::array<std::uint8_t, 20>;

ContentId content_id(std::string_view content);

struct FileInfo {
  FileType type = FileType::regular;
  std::uint32_t permissions = 0644;  ///< The low twelve bits of st_mode.
  std::uint64_t size = 0;            ///< Bytes; of a symlink, its target's length.
  ContentId content{};
  /// Nanoseconds since the epoch; nothing where nobody has decided it (build/file_times does),
  /// and `content_time` then.
  std::optional<std::int64_t> modified = {};
};

struct DirectoryEntry {
  std::string name;
  FileInfo info;
};

/// A time by the content alone, for files that only a build sees: an engine that keeps a copy
/// compares size and time to decide what it asks for, so different contents have different ones. In
/// whole seconds all are the same, which is wrong for what a web server or make will look at.
std::int64_t content_time(const ContentId& content);

/// Reads one open file from the start.
class FileReader {
 public:
  virtual ~FileReader() = default;
  /// Fills the front of `buffer`; 0 at the end of the file.
  virtual Result<std::size_t> read(std::span<std::byte> buffer) = 0;
};

/// Reads a content that is in memory already.
std::unique_ptr<FileReader> make_memory_reader(std::string content);

/// A read-only view of a deployment's source. Paths are relative, '/'-separated, without empty,
/// "." or ".." parts; "" is the root. No call follows a symlink out of the tree: `open` and `list`
/// follow links that stay inside, everything else refuses (`denied`). Nothing here tells where, or
/// whether, the tree lies on a disk. Thread-safe.
class SourceTree {
 public:
  virtual ~SourceTree() = default;
  /// Entries of a directory, sorted bytewise by name. `.git` is never among them.
  virtual Result<std::vector<DirectoryEntry>> list(std::string_view path) const = 0;
  /// Does not follow a symlink in the last part. `not_found` when there is nothing.
  virtual Result<FileInfo> stat(std::string_view path) const = 0;
  /// A regular file; `invalid_input` for anything else.
  virtual Result<std::unique_ptr<FileReader>> open(std::string_view path) const = 0;
  virtual Result<std::string> read_link(std::string_view path) const = 0;
};

/// The whole content of a small file; `invalid_input` when it is larger than `limit` bytes.
Result<std::string> read_file(const SourceTree& tree, std::string_view path, std::size_t limit);

}  // namespace builder::ports
