#pragma once

#include "base/keyed_hash.hpp"
#include "base/result.hpp"
#include "ports/source_tree.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::build {

/// Which files got a time together, for one service (docs/adr/0019). The files of the first
/// deployment got its commit's time, those that a later one changed that one's, at least a second
/// after all before: whole seconds are what web servers tell browsers, and what a layer keeps. The
/// nanoseconds stand for all that was deployed then, so that no two contents of a path ever have
/// the same time, even when a record was lost: an engine that keeps a copy of the files asks only
/// for those whose size or time is another.
class TimesRecord {
 public:
  /// A file as one number: path, content, type and permissions under a key. Secrets are among the
  /// files; nobody can try out what they are against the record.
  using FileHash = std::uint64_t;

  struct Generation {
    std::int64_t seconds = 0;
    std::uint32_t nanoseconds = 0;
    std::vector<FileHash>
        files;  ///< Ascending; of the last tree, without those that changed since.

    [[nodiscard]] std::int64_t time() const { return seconds * 1'000'000'000 + nanoseconds; }

    bool operator==(const Generation&) const = default;
  };

  /// nullopt: it is not one.
  static std::optional<TimesRecord> read(std::string_view text);
  [[nodiscard]] std::string write() const;

  /// What it becomes when a tree of these files is deployed; of a service that has none, `before`
  /// is null. The same again when the files are the same.
  static TimesRecord after(const TimesRecord* before, std::vector<FileHash> files,
                           std::chrono::sys_seconds commit_time);

  /// Of every folder: that of the first deployment, so that no folder is newer than a file.
  [[nodiscard]] std::int64_t folder_time() const { return folders_.time(); }

  /// Seconds of the last generation, even if none of its files is left.
  [[nodiscard]] std::int64_t latest() const { return latest_; }

  [[nodiscard]] const std::vector<Generation>& generations() const { return generations_; }

  bool operator==(const TimesRecord&) const = default;

 private:
  Generation folders_;  ///< Without files.
  std::int64_t latest_ = 0;
  std::vector<Generation> generations_;
};

struct TimedTree {
  std::shared_ptr<const ports::SourceTree> tree;
  std::string record;  ///< To be remembered for the service's next deployment.
  std::size_t files = 0;
  std::size_t changed = 0;  ///< Since the last one.
  bool unreadable = false;  ///< The record was there and could not be read.
};

/// The tree with every file's time decided; looks at all of it once. `way` names how the tree is
/// built: what is built in another way lies elsewhere at the engine, and all of it counts as
/// changed. `record` is what the last deployment left, empty if there is none; one that cannot be
/// read counts as none.
Result<TimedTree> give_times(std::shared_ptr<const ports::SourceTree> tree, std::string_view way,
                             std::chrono::sys_seconds commit_time, const KeyedHash::Key& key,
                             std::string_view record);

}  // namespace builder::build
