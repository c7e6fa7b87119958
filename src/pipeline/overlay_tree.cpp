#include "pipeline/overlay_tree.hpp"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

namespace builder::pipeline {

namespace {

using ports::DirectoryEntry;
using ports::FileInfo;
using ports::FileReader;
using ports::FileType;
using ports::SourceTree;

class MemoryReader final : public FileReader {
 public:
  explicit MemoryReader(std::string_view content) : rest_(content) {}

  Result<std::size_t> read(std::span<std::byte> buffer) override {
    const std::size_t count = std::min(buffer.size(), rest_.size());
    std::memcpy(buffer.data(), rest_.data(), count);
    rest_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view rest_;
};

class OverlayTree final : public SourceTree {
 public:
  OverlayTree(std::shared_ptr<const SourceTree> base, std::map<std::string, std::string> files)
      : base_(std::move(base)), files_(std::move(files)) {}

  Result<std::vector<DirectoryEntry>> list(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(std::vector<DirectoryEntry> entries, base_->list(path));
    if (path.empty()) {
      std::erase_if(entries,
                    [this](const DirectoryEntry& entry) { return files_.contains(entry.name); });
      for (const auto& [name, content] : files_) {
        entries.push_back({name, info(content)});
      }
      std::ranges::sort(entries, {}, &DirectoryEntry::name);
    }
    return entries;
  }

  Result<FileInfo> stat(std::string_view path) const override {
    const std::string* content = generated(path);
    return content == nullptr ? base_->stat(path) : info(*content);
  }

  Result<std::unique_ptr<FileReader>> open(std::string_view path) const override {
    const std::string* content = generated(path);
    if (content == nullptr) {
      return base_->open(path);
    }
    return std::make_unique<MemoryReader>(*content);
  }

  Result<std::string> read_link(std::string_view path) const override {
    if (generated(path) != nullptr) {
      return failure(ErrorKind::invalid_input, std::string(path) + " is not a symlink");
    }
    return base_->read_link(path);
  }

 private:
  [[nodiscard]] const std::string* generated(std::string_view path) const {
    const auto found = files_.find(std::string(path));
    return found == files_.end() ? nullptr : &found->second;
  }

  static FileInfo info(const std::string& content) {
    const std::size_t identity = std::hash<std::string>{}(content) % 1'000'000'000;
    return {.type = FileType::regular,
            .permissions = 0644,
            .size = content.size(),
            .modified = ports::content_time(static_cast<std::uint32_t>(identity))};
  }

  // Shared with the engine's transfer threads.
  std::shared_ptr<const SourceTree> base_;
  std::map<std::string, std::string> files_;
};

}  // namespace

std::shared_ptr<const SourceTree> make_overlay_tree(std::shared_ptr<const SourceTree> base,
                                                    std::map<std::string, std::string> files) {
  return std::make_shared<OverlayTree>(std::move(base), std::move(files));
}

}  // namespace builder::pipeline
