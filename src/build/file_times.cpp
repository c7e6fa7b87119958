#include "build/file_times.hpp"

#include "base/text.hpp"
#include "ports/source_path.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

namespace builder::build {

namespace {

using ports::DirectoryEntry;
using ports::FileInfo;
using ports::FileReader;
using ports::FileType;
using ports::SourceTree;
using FileHash = TimesRecord::FileHash;

constexpr std::string_view k_table_form = "times 1\n";
constexpr std::uint32_t k_nanoseconds = 1'000'000'000;
/// Behind every commit's time (2038) with room for a second per deployment; tar has room for it.
constexpr std::int64_t k_last_second = std::int64_t{1} << 32;

/// The second of a commit. One that no clock can have shown counts as old, without a look at ours:
/// whoever builds the commit, and whenever, decides the same. Programs with 32 bits for a time go
/// wrong behind the last one, zip and FAT before the first.
std::int64_t second_of(std::chrono::sys_seconds commit) {
  constexpr std::chrono::sys_seconds k_first{
      std::chrono::sys_days(std::chrono::year(1980) / 1 / 2)};
  constexpr std::chrono::sys_seconds k_last{
      std::chrono::seconds(std::numeric_limits<std::int32_t>::max())};
  return (commit >= k_first && commit <= k_last ? commit : k_first).time_since_epoch().count();
}

/// Numbers one after the other, least significant byte first.
template <class Number>
void put(std::string& out, Number number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

template <class Number>
bool take(std::string_view& bytes, Number& number) {
  if (bytes.size() < sizeof number) {
    return false;
  }
  std::memcpy(&number, bytes.data(), sizeof number);
  bytes.remove_prefix(sizeof number);
  return true;
}

std::string_view bytes_of(std::span<const FileHash> files) {
  return {reinterpret_cast<const char*>(files.data()), files.size_bytes()};
}

/// Stands for all files of a tree.
std::uint32_t nanoseconds_of(std::span<const FileHash> files) {
  const auto digest = sha256(bytes_of(files));
  std::uint64_t number = 0;
  std::memcpy(&number, digest.data(), sizeof number);
  return static_cast<std::uint32_t>(number % k_nanoseconds);
}

/// Hashes of the files of one tree.
class Hasher {
 public:
  Hasher(std::string_view way, const KeyedHash::Key& key) : hash_(key), way_(way) {
    way_ += '\0';  // No path holds one.
  }

  FileHash operator()(std::string_view folder, const DirectoryEntry& entry) {
    const FileInfo& info = entry.info;
    text_ = way_;
    text_.append(reinterpret_cast<const char*>(info.content.data()), info.content.size());
    text_ += info.type == FileType::symlink ? 'l' : 'f';
    put(text_, info.permissions);
    text_.append(folder).append(folder.empty() ? "" : "/").append(entry.name);
    return hash_(text_);
  }

 private:
  KeyedHash hash_;
  std::string way_;
  std::string text_;
};

Result<> collect(const SourceTree& tree, const std::string& folder, Hasher& hash,
                 std::vector<FileHash>& files) {
  BUILDER_TRY_ASSIGN(const std::vector<DirectoryEntry> entries, tree.list(folder));
  for (const DirectoryEntry& entry : entries) {
    if (entry.info.type == FileType::directory) {
      BUILDER_TRY(collect(tree, ports::path_in(folder, entry.name), hash, files));
    } else {
      files.push_back(hash(folder, entry));
    }
  }
  return {};
}

/// A tree in which every file has its time.
class TreeWithTimes final : public SourceTree {
 public:
  TreeWithTimes(std::shared_ptr<const SourceTree> base, Hasher hash, const TimesRecord& record)
      : base_(std::move(base)), hash_(std::move(hash)), folder_time_(record.folder_time()) {
    // All but the largest generation, which is whatever is not found.
    const auto& generations = record.generations();
    const auto largest =
        std::ranges::max_element(generations, {}, [](const auto& one) { return one.files.size(); });
    if (largest != generations.end()) {
      usual_time_ = largest->time();
    }
    for (const auto& generation : generations) {
      for (const FileHash file : generation.files) {
        if (generation.time() != usual_time_) {
          others_.emplace_back(file, generation.time());
        }
      }
    }
    std::ranges::sort(others_);
  }

  Result<std::vector<DirectoryEntry>> list(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(std::vector<DirectoryEntry> entries, base_->list(path));
    Hasher hash = hash_;
    for (DirectoryEntry& entry : entries) {
      entry.info.modified = time_of(hash, path, entry);
    }
    return entries;
  }

  Result<FileInfo> stat(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(FileInfo info, base_->stat(path));
    Hasher hash = hash_;
    info.modified =
        time_of(hash, ports::folder_of(path), {std::string(ports::name_of(path)), info});
    return info;
  }

  Result<std::unique_ptr<FileReader>> open(std::string_view path) const override {
    return base_->open(path);
  }

  Result<std::string> read_link(std::string_view path) const override {
    return base_->read_link(path);
  }

 private:
  [[nodiscard]] std::int64_t time_of(Hasher& hash, std::string_view folder,
                                     const DirectoryEntry& entry) const {
    if (entry.info.type == FileType::directory) {
      return folder_time_;
    }
    if (others_.empty()) {
      return usual_time_;
    }
    const FileHash file = hash(folder, entry);
    const auto found = std::ranges::lower_bound(others_, file, {}, &Other::first);
    return found != others_.end() && found->first == file ? found->second : usual_time_;
  }

  using Other = std::pair<FileHash, std::int64_t>;

  std::shared_ptr<const SourceTree> base_;
  Hasher hash_;
  std::int64_t folder_time_;
  std::int64_t usual_time_ = 0;
  std::vector<Other> others_;
};

}  // namespace

std::string TimesRecord::write() const {
  std::string bytes;
  put(bytes, folders_.seconds);
  put(bytes, folders_.nanoseconds);
  put(bytes, latest_);
  put(bytes, static_cast<std::uint32_t>(generations_.size()));
  for (const Generation& generation : generations_) {
    put(bytes, generation.seconds);
    put(bytes, generation.nanoseconds);
    put(bytes, static_cast<std::uint32_t>(generation.files.size()));
    bytes += bytes_of(generation.files);
  }
  // Text: people and programs look at what Redis holds.
  return std::string(k_table_form) + base64_encode(bytes);
}

std::optional<TimesRecord> TimesRecord::read(std::string_view text) {
  if (!text.starts_with(k_table_form)) {
    return std::nullopt;
  }
  const auto decoded = base64_decode(text.substr(k_table_form.size()));
  if (!decoded) {
    return std::nullopt;
  }
  std::string_view bytes = *decoded;
  TimesRecord record;
  std::uint32_t count = 0;
  const auto valid = [&record](const Generation& one) {
    return one.seconds >= 0 && one.seconds <= record.latest_ && one.nanoseconds < k_nanoseconds;
  };
  if (!take(bytes, record.folders_.seconds) || !take(bytes, record.folders_.nanoseconds) ||
      !take(bytes, record.latest_) || !take(bytes, count) || record.latest_ > k_last_second ||
      !valid(record.folders_)) {
    return std::nullopt;
  }
  for (; count > 0; --count) {
    Generation generation;
    std::uint32_t files = 0;
    if (!take(bytes, generation.seconds) || !take(bytes, generation.nanoseconds) ||
        !take(bytes, files) || bytes.size() / sizeof(FileHash) < files || files == 0 ||
        !valid(generation)) {
      return std::nullopt;
    }
    generation.files.resize(files);
    std::memcpy(generation.files.data(), bytes.data(), files * sizeof(FileHash));
    bytes.remove_prefix(files * sizeof(FileHash));
    if (!std::ranges::is_sorted(generation.files)) {
      return std::nullopt;
    }
    record.generations_.push_back(std::move(generation));
  }
  return bytes.empty() ? std::optional(std::move(record)) : std::nullopt;
}

TimesRecord TimesRecord::after(const TimesRecord* before, std::vector<FileHash> files,
                               std::chrono::sys_seconds commit_time) {
  std::ranges::sort(files);
  files.erase(std::ranges::unique(files).begin(), files.end());
  TimesRecord record;
  Generation changed{
      .seconds = second_of(commit_time), .nanoseconds = nanoseconds_of(files), .files = {}};
  std::vector<bool> known(files.size());
  if (before == nullptr) {
    record.folders_ = changed;
    record.latest_ = changed.seconds;
  } else {
    record.folders_ = before->folders_;
    record.latest_ = before->latest_;
    changed.seconds = std::max(changed.seconds, before->latest_ + 1);
    for (const Generation& old : before->generations_) {
      Generation kept{.seconds = old.seconds, .nanoseconds = old.nanoseconds, .files = {}};
      auto from = files.cbegin();
      for (const FileHash file : old.files) {
        from = std::lower_bound(from, files.cend(), file);
        if (from != files.cend() && *from == file) {
          kept.files.push_back(file);
          known[static_cast<std::size_t>(from - files.cbegin())] = true;
        }
      }
      if (!kept.files.empty()) {
        record.generations_.push_back(std::move(kept));
      }
    }
  }
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!known[i]) {
      changed.files.push_back(files[i]);
    }
  }
  if (!changed.files.empty()) {
    record.latest_ = changed.seconds;
    record.generations_.push_back(std::move(changed));
  }
  return record;
}

Result<TimedTree> give_times(std::shared_ptr<const SourceTree> tree, std::string_view way,
                             std::chrono::sys_seconds commit_time, const KeyedHash::Key& key,
                             std::string_view record) {
  Hasher hash(way, key);
  std::vector<FileHash> files;
  BUILDER_TRY(collect(*tree, "", hash, files));
  TimedTree timed;
  timed.files = files.size();
  const auto before = TimesRecord::read(record);
  timed.unreadable = !before && !record.empty();
  const TimesRecord after =
      TimesRecord::after(before ? &*before : nullptr, std::move(files), commit_time);
  if (!before || before->latest() != after.latest()) {
    timed.changed = after.generations().empty() ? 0 : after.generations().back().files.size();
  }
  timed.record = before && *before == after ? std::string(record) : after.write();
  timed.tree = std::make_shared<TreeWithTimes>(std::move(tree), std::move(hash), after);
  return timed;
}

}  // namespace builder::build
