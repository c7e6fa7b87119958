#include "pipeline/filtered_tree.hpp"

#include "ports/source_path.hpp"

#include <set>
#include <string>
#include <utility>

namespace builder::pipeline {

namespace {

using ports::DirectoryEntry;
using ports::FileInfo;
using ports::FileReader;
using ports::FileType;
using ports::path_in;
using ports::SourceTree;

using Paths = std::set<std::string, std::less<>>;

/// Collects what is kept below `folder`; true when there is anything.
Result<bool> collect(const SourceTree& tree, const std::string& folder,
                     const std::function<bool(std::string_view)>& keep, Paths& kept) {
  BUILDER_TRY_ASSIGN(const std::vector<DirectoryEntry> entries, tree.list(folder));
  bool any = false;
  for (const DirectoryEntry& entry : entries) {
    const std::string path = path_in(folder, entry.name);
    bool wanted = false;
    if (entry.info.type == FileType::directory) {
      BUILDER_TRY_ASSIGN(wanted, collect(tree, path, keep, kept));
    } else {
      wanted = keep(path);
    }
    if (wanted) {
      kept.insert(path);
      any = true;
    }
  }
  return any;
}

class FilteredTree final : public SourceTree {
 public:
  FilteredTree(std::shared_ptr<const SourceTree> base, Paths kept)
      : base_(std::move(base)), kept_(std::move(kept)) {}

  Result<std::vector<DirectoryEntry>> list(std::string_view path) const override {
    BUILDER_TRY(known(path));
    BUILDER_TRY_ASSIGN(std::vector<DirectoryEntry> entries, base_->list(path));
    std::erase_if(entries, [&](const DirectoryEntry& entry) {
      return !kept_.contains(path_in(path, entry.name));
    });
    return entries;
  }

  Result<FileInfo> stat(std::string_view path) const override {
    BUILDER_TRY(known(path));
    return base_->stat(path);
  }

  Result<std::unique_ptr<FileReader>> open(std::string_view path) const override {
    BUILDER_TRY(known(path));
    return base_->open(path);
  }

  Result<std::string> read_link(std::string_view path) const override {
    BUILDER_TRY(known(path));
    return base_->read_link(path);
  }

 private:
  [[nodiscard]] Result<> known(std::string_view path) const {
    if (path.empty() || kept_.contains(path)) {
      return {};
    }
    return failure(ErrorKind::not_found, std::string(path) + " is left out");
  }

  std::shared_ptr<const SourceTree> base_;
  Paths kept_;
};

}  // namespace

Result<std::shared_ptr<const SourceTree>> make_filtered_tree(
    std::shared_ptr<const SourceTree> base, const std::function<bool(std::string_view)>& keep) {
  Paths kept;
  BUILDER_TRY(collect(*base, "", keep, kept));
  return std::make_shared<FilteredTree>(std::move(base), std::move(kept));
}

}  // namespace builder::pipeline
