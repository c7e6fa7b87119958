#include "ports/overlay_tree.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

namespace builder::ports {

namespace {

std::string_view parent_of(std::string_view path) {
  const auto slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

class OverlayTree final : public SourceTree {
 public:
  OverlayTree(std::shared_ptr<const SourceTree> base, std::map<std::string, std::string> files,
              std::string mount)
      : base_(std::move(base)), mount_(std::move(mount)) {
    folders_.insert("");
    for (auto& [path, content] : files) {
      const ContentId id = content_id(content);
      files_.emplace(path, File{std::move(content), id});
    }
    for (const auto& [path, file] : files_) {
      for (std::string_view parent = parent_of(path); !parent.empty(); parent = parent_of(parent)) {
        folders_.emplace(parent);
      }
    }
  }

  Result<std::vector<DirectoryEntry>> list(std::string_view path) const override {
    std::vector<DirectoryEntry> entries;
    if (const auto inner = in_base(path)) {
      BUILDER_TRY_ASSIGN(entries, base_->list(*inner));
    } else if (!folders_.contains(path)) {
      return failure(ErrorKind::not_found, std::string(path) + " is no folder");
    }
    std::map<std::string, FileInfo> own;
    for (const auto& [name, file] : files_) {
      if (parent_of(name) == path) {
        own.emplace(name.substr(path.empty() ? 0 : path.size() + 1), info(file));
      }
    }
    for (const std::string& folder : folders_) {
      if (!folder.empty() && parent_of(folder) == path) {
        own.emplace(folder.substr(path.empty() ? 0 : path.size() + 1), folder_info());
      }
    }
    if (path.empty() && !mount_.empty()) {
      own.emplace(mount_, folder_info());
    }
    if (!own.empty()) {
      std::erase_if(entries,
                    [&own](const DirectoryEntry& entry) { return own.contains(entry.name); });
      for (auto& [name, what] : own) {
        entries.push_back({name, what});
      }
      std::ranges::sort(entries, {}, &DirectoryEntry::name);
    }
    return entries;
  }

  Result<FileInfo> stat(std::string_view path) const override {
    if (const File* file = generated(path)) {
      return info(*file);
    }
    if (const auto inner = in_base(path); inner && !(inner->empty() && !mount_.empty())) {
      return base_->stat(*inner);
    }
    if (folders_.contains(path) || path == mount_) {
      return folder_info();
    }
    return failure(ErrorKind::not_found, std::string(path) + " does not exist");
  }

  Result<std::unique_ptr<FileReader>> open(std::string_view path) const override {
    if (const File* file = generated(path)) {
      return make_memory_reader(file->content);
    }
    if (const auto inner = in_base(path)) {
      return base_->open(*inner);
    }
    return folders_.contains(path)
               ? failure(ErrorKind::invalid_input, std::string(path) + " is a folder")
               : failure(ErrorKind::not_found, std::string(path) + " does not exist");
  }

  Result<std::string> read_link(std::string_view path) const override {
    if (const auto inner = in_base(path); inner && generated(path) == nullptr) {
      return base_->read_link(*inner);
    }
    return failure(ErrorKind::invalid_input, std::string(path) + " is not a symlink");
  }

 private:
  struct File {
    std::string content;
    ContentId id;
  };

  /// The path in the base, where it is there.
  [[nodiscard]] std::optional<std::string_view> in_base(std::string_view path) const {
    if (mount_.empty()) {
      return path;
    }
    if (path == mount_) {
      return std::string_view();
    }
    if (path.starts_with(mount_) && path.substr(mount_.size()).starts_with('/')) {
      return path.substr(mount_.size() + 1);
    }
    return std::nullopt;
  }

  [[nodiscard]] const File* generated(std::string_view path) const {
    const auto found = files_.find(std::string(path));
    return found == files_.end() ? nullptr : &found->second;
  }

  static FileInfo info(const File& file) {
    return {.type = FileType::regular,
            .permissions = 0644,
            .size = file.content.size(),
            .content = file.id};
  }

  static FileInfo folder_info() {
    return {.type = FileType::directory, .permissions = 0755, .size = 0};
  }

  // Shared with the engine's transfer threads.
  std::shared_ptr<const SourceTree> base_;
  std::map<std::string, File> files_;
  std::string mount_;
  std::set<std::string, std::less<>> folders_;
};

}  // namespace

std::shared_ptr<const SourceTree> make_overlay_tree(std::shared_ptr<const SourceTree> base,
                                                    std::map<std::string, std::string> files,
                                                    std::string mount) {
  return std::make_shared<OverlayTree>(std::move(base), std::move(files), std::move(mount));
}

}  // namespace builder::ports
