#include "adapters/buildkit/transfer/tree_walk.hpp"

#include "domain/patterns.hpp"
#include "ports/source_path.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

using domain::clean_path;
using domain::Glob;
using domain::MatchingBudget;
using domain::PatternList;
using fsutil::types::Stat;
using ports::DirectoryEntry;
using ports::FileInfo;
using ports::FileType;
using ports::SourceTree;

std::string joined(std::string_view folder, std::string_view name) {
  std::string out(folder);
  if (!out.empty()) {
    out += '/';
  }
  return out.append(name);
}

std::uint32_t go_mode(const FileInfo& info) {
  std::uint32_t mode = info.permissions & 0777U;
  mode |= (info.permissions & 04000U) != 0 ? 1U << 23U : 0;
  mode |= (info.permissions & 02000U) != 0 ? 1U << 22U : 0;
  mode |= (info.permissions & 01000U) != 0 ? 1U << 20U : 0;
  mode |= info.type == FileType::directory ? k_mode_directory : 0;
  mode |= info.type == FileType::symlink ? k_mode_symlink : 0;
  return mode;
}

/// Turns follow-paths (the sources named by COPY and ADD) into include lines: each symlink on the
/// way is included itself and replaced by its target, which cannot leave the root.
class LinkResolver {
 public:
  LinkResolver(const SourceTree& tree, MatchingBudget& budget, const std::stop_token& stop)
      : tree_(tree), budget_(budget), stop_(stop) {}

  void add(const std::string& path) {
    // A list instead of recursion: a repository may hold a very long chain of links.
    std::vector<std::string> open{path};
    while (!open.empty() && !stop_.stop_requested() && !budget_.exhausted()) {
      const std::string next = std::move(open.back());
      open.pop_back();
      follow(next, open);
    }
  }

  /// Sorted, without entries below another one; nothing when the root itself was asked for.
  [[nodiscard]] std::vector<std::string> includes() const {
    std::vector<std::string> out;
    for (const std::string& path : resolved_) {
      if (path == ".") {
        return {};
      }
      if (out.empty() || !path.starts_with(out.back() + "/")) {
        out.push_back(path);
      }
    }
    return out;
  }

 private:
  void follow(const std::string& path, std::vector<std::string>& open) {
    std::string rest = clean_path("/" + path).substr(1);
    std::string current;
    for (;;) {
      const std::size_t slash = rest.find('/');
      current = joined(current, rest.substr(0, slash));
      rest = slash == std::string::npos ? "" : rest.substr(slash + 1);
      std::vector<std::string> targets;
      const bool is_link = link_targets(current, targets);
      if ((rest.empty() || is_link) && !resolved_.insert(current.empty() ? "." : current).second) {
        return;
      }
      if (is_link) {
        for (const std::string& target : targets) {
          open.push_back(target + "/" + rest);
        }
        return;
      }
      if (rest.empty()) {
        return;
      }
    }
  }

  /// True when `path`, whose last part may hold wildcards, names at least one symlink.
  bool link_targets(const std::string& path, std::vector<std::string>& targets) const {
    const std::string folder(ports::folder_of(path));
    const std::string_view name = ports::name_of(path);
    if (name.find_first_of("*?[\\") == std::string::npos) {
      return add_target(folder, path, targets);
    }
    const auto entries = tree_.list(folder);
    if (!entries) {
      return false;
    }
    budget_.spend(entries->size());
    Glob glob(name);
    bool any = false;
    for (const DirectoryEntry& entry : *entries) {
      if (entry.info.type == FileType::symlink && glob.matches(entry.name, budget_)) {
        any = add_target(folder, joined(folder, entry.name), targets) || any;
      }
    }
    return any;
  }

  bool add_target(const std::string& folder, const std::string& path,
                  std::vector<std::string>& targets) const {
    if (path.empty()) {
      return false;
    }
    const auto info = tree_.stat(path);
    if (!info || info->type != FileType::symlink) {
      return false;
    }
    const auto link = tree_.read_link(path);
    if (!link) {
      return false;
    }
    targets.push_back(link->starts_with('/') ? *link : "/" + folder + "/" + *link);
    return true;
  }

  const SourceTree& tree_;
  MatchingBudget& budget_;
  const std::stop_token& stop_;
  std::set<std::string> resolved_;
};

std::vector<std::string> include_lines(const SourceTree& tree, const TreeFilter& filter,
                                       MatchingBudget& budget, const std::stop_token& stop) {
  std::vector<std::string> lines = filter.include;
  LinkResolver resolver(tree, budget, stop);
  for (const std::string& path : filter.follow) {
    resolver.add(path);
  }
  std::ranges::move(resolver.includes(), std::back_inserter(lines));
  return lines;
}

/// What the automatons of the filter take: a byte of a pattern is a place in one.
bool pays_for(const TreeFilter& filter, MatchingBudget& budget) {
  constexpr std::uint64_t k_for_a_byte = 128;
  std::uint64_t bytes = 0;
  for (const auto* lines : {&filter.include, &filter.exclude, &filter.follow}) {
    for (const std::string& line : *lines) {
      bytes += line.size();
    }
  }
  return budget.spend(k_for_a_byte * bytes);
}

Error too_much() {
  return domain::matching_costs_too_much(".dockerignore, COPY and ADD");
}

class Walker {
 public:
  Walker(const SourceTree& tree, const TreeFilter& filter, MatchingBudget& budget,
         const std::stop_token& stop, const std::function<bool(const Stat&)>& emit)
      : tree_(tree),
        include_(include_lines(tree, filter, budget, stop)),
        exclude_(filter.exclude),
        budget_(budget),
        stop_(stop),
        emit_(emit) {}

  Result<> run() { return folder("", {}, {}); }

 private:
  using Matched = PatternList::Folder;

  /// Whether matching may go on, and what it has said counts.
  Result<> may_go_on() const {
    if (stop_.stop_requested()) {
      return failure(ErrorKind::cancelled, "transfer stopped");
    }
    if (budget_.exhausted()) {
      return std::unexpected(too_much());
    }
    return {};
  }

  Result<> folder(const std::string& path, const Matched& included, const Matched& excluded) {
    BUILDER_TRY_ASSIGN(const std::vector<DirectoryEntry> entries, tree_.list(path));
    for (const DirectoryEntry& entry : entries) {
      if (ended_) {
        break;
      }
      BUILDER_TRY(may_go_on());
      BUILDER_TRY(visit(joined(path, entry.name), entry.info, included, excluded));
    }
    return {};
  }

  Result<> visit(const std::string& path, const FileInfo& info, const Matched& included,
                 const Matched& excluded) {
    if (info.type == FileType::other) {
      return {};
    }
    const bool is_folder = info.type == FileType::directory;
    bool dropped = false;
    Matched own_included;
    Matched own_excluded;
    if (!include_.empty() &&
        !include_.matches(path, included, is_folder ? &own_included : nullptr, budget_, stop_)) {
      if (!is_folder || !include_.may_match_below(path)) {
        return {};
      }
      dropped = true;
    }
    if (!exclude_.empty() &&
        exclude_.matches(path, excluded, is_folder ? &own_excluded : nullptr, budget_, stop_)) {
      if (!is_folder || !exclude_.may_except_below(path)) {
        return {};
      }
      dropped = true;
    }
    BUILDER_TRY(may_go_on());
    if (!is_folder && dropped) {
      return {};
    }
    BUILDER_TRY_ASSIGN(Stat stat, describe(path, info));
    if (!is_folder) {
      flush();
      send(stat);
      return {};
    }
    pending_.push_back(std::move(stat));
    if (!dropped) {
      flush();
    }
    BUILDER_TRY(folder(path, own_included, own_excluded));
    pending_.pop_back();
    sent_ = std::min(sent_, pending_.size());
    return {};
  }

  Result<Stat> describe(const std::string& path, const FileInfo& info) const {
    Stat stat;
    stat.set_path(path);
    stat.set_mode(go_mode(info));
    stat.set_mod_time(info.modified.value_or(ports::content_time(info.content)));
    if (info.type != FileType::directory) {
      stat.set_size(static_cast<std::int64_t>(info.size));
    }
    if (info.type == FileType::symlink) {
      BUILDER_TRY_ASSIGN(*stat.mutable_linkname(), tree_.read_link(path));
    }
    return stat;
  }

  // Folders that the filter drops go out late, when something below them is selected.
  void flush() {
    for (; sent_ < pending_.size() && !ended_; ++sent_) {
      send(pending_[sent_]);
    }
  }

  void send(const Stat& stat) { ended_ = ended_ || !emit_(stat); }

  const SourceTree& tree_;
  PatternList include_;
  PatternList exclude_;
  MatchingBudget& budget_;
  const std::stop_token& stop_;
  const std::function<bool(const Stat&)>& emit_;
  std::vector<Stat> pending_;  // The folders from the root to here.
  std::size_t sent_ = 0;       // How many of them went out.
  bool ended_ = false;
};

}  // namespace

Result<> walk_tree(const SourceTree& tree, const TreeFilter& filter, MatchingBudget& budget,
                   const std::stop_token& stop, const std::function<bool(const Stat&)>& emit) {
  if (!pays_for(filter, budget)) {
    return std::unexpected(too_much());
  }
  return Walker(tree, filter, budget, stop, emit).run();
}

}  // namespace builder::adapters::buildkit
