#include "build/filtered_tree.hpp"

#include "ports/source_path.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace builder::build {

namespace {

using domain::MatchingBudget;
using domain::buildpacks::IgnoreRules;
using ports::DirectoryEntry;
using ports::FileInfo;
using ports::FileReader;
using ports::FileType;
using ports::path_in;
using ports::SourceTree;

/// Sorted.
using Paths = std::vector<std::string>;

class Collector {
 public:
  Collector(const SourceTree& tree, IgnoreRules& rules, Matched matched, MatchingBudget& budget)
      : tree_(tree), rules_(rules), matched_(matched), budget_(budget) {}

  /// Collects what is kept below `folder`; true when there is anything.
  Result<bool> collect(const std::string& folder, const IgnoreRules::Folder& matches) {
    BUILDER_TRY_ASSIGN(const std::vector<DirectoryEntry> entries, tree_.list(folder));
    bool any = false;
    for (const DirectoryEntry& entry : entries) {
      const std::string path = path_in(folder, entry.name);
      const bool is_folder = entry.info.type == FileType::directory;
      IgnoreRules::Folder own;
      bool wanted = rules_.matches(path, matches, is_folder ? &own : nullptr, budget_) ==
                    (matched_ == Matched::kept);
      if (budget_.exhausted()) {
        return std::unexpected(domain::matching_costs_too_much("project.toml"));
      }
      if (is_folder) {
        BUILDER_TRY_ASSIGN(wanted, collect(path, own));
      }
      if (wanted) {
        kept_.push_back(path);
        any = true;
      }
    }
    return any;
  }

  Paths take() {
    std::ranges::sort(kept_);
    kept_.shrink_to_fit();
    return std::move(kept_);
  }

 private:
  const SourceTree& tree_;
  IgnoreRules& rules_;
  Matched matched_;
  MatchingBudget& budget_;
  Paths kept_;
};

class FilteredTree final : public SourceTree {
 public:
  FilteredTree(std::shared_ptr<const SourceTree> base, Paths kept)
      : base_(std::move(base)), kept_(std::move(kept)) {}

  Result<std::vector<DirectoryEntry>> list(std::string_view path) const override {
    BUILDER_TRY(known(path));
    BUILDER_TRY_ASSIGN(std::vector<DirectoryEntry> entries, base_->list(path));
    std::erase_if(entries, [&](const DirectoryEntry& entry) {
      return !std::ranges::binary_search(kept_, path_in(path, entry.name));
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
    if (path.empty() || std::ranges::binary_search(kept_, path)) {
      return {};
    }
    return failure(ErrorKind::not_found, std::string(path) + " is left out");
  }

  std::shared_ptr<const SourceTree> base_;
  Paths kept_;
};

}  // namespace

Result<std::shared_ptr<const SourceTree>> make_filtered_tree(std::shared_ptr<const SourceTree> base,
                                                             IgnoreRules& rules, Matched matched,
                                                             MatchingBudget& budget) {
  Collector collector(*base, rules, matched, budget);
  BUILDER_TRY(collector.collect("", {}));
  return std::make_shared<FilteredTree>(std::move(base), collector.take());
}

}  // namespace builder::build
