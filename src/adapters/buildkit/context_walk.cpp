#include "adapters/buildkit/context_walk.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "adapters/buildkit/patterns.hpp"

namespace builder::adapters::buildkit {

namespace {

using ports::DirectoryEntry;
using ports::FileType;
using ports::SourceTree;

constexpr int k_most_links = 255;
constexpr std::size_t k_deepest = 2'000;

std::string join(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

/// Turns follow-paths into include patterns: each link on the way is included itself and replaced by
/// its target, which never leaves the root (fsutil's FollowLinks).
class LinkResolver {
 public:
  explicit LinkResolver(const SourceTree& tree) : tree_(tree) {}

  void add(const std::string& path) {
    std::string rest = clean_path("/" + path).substr(1);
    std::string current;
    for (;;) {
      const std::size_t slash = rest.find('/');
      current = join(current, rest.substr(0, slash));
      rest = slash == std::string::npos ? "" : rest.substr(slash + 1);
      std::vector<std::string> targets;
      const bool link = find_targets(current, true, targets);
      if ((rest.empty() || link) && resolved_.contains(current)) {
        return;
      }
      if (link || rest.empty()) {
        resolved_.insert(current.empty() ? "." : current);
      }
      if (link) {
        if (++links_ > k_most_links) {
          return;
        }
        for (const std::string& target : targets) {
          add(target + "/" + rest);
        }
        return;
      }
      if (rest.empty()) {
        return;
      }
    }
  }

  /// Sorted, without entries below another; empty when the root itself was asked for.
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
  bool find_targets(const std::string& path, bool wildcard, std::vector<std::string>& targets) {
    const std::size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "" : path.substr(0, slash);
    const std::string base = slash == std::string::npos ? path : path.substr(slash + 1);
    if (wildcard && base.find_first_of("*?[\\") != std::string::npos) {
      const auto entries = tree_.list(folder);
      if (!entries) {
        return false;
      }
      const Glob glob(base);
      bool any = false;
      for (const DirectoryEntry& entry : *entries) {
        if (glob.matches(decode(entry.name))) {
          any = find_targets(join(folder, entry.name), false, targets) || any;
        }
      }
      return any;
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
  std::set<std::string> resolved_;
  int links_ = 0;
};

class Walker {
 public:
  Walker(const SourceTree& tree, const TransferFilter& filter, const std::stop_token& stop,
         const std::function<bool(const WalkEntry&)>& emit)
      : tree_(tree),
        include_(includes(tree, filter)),
        exclude_(filter.exclude),
        stop_(stop),
        emit_(emit) {}

  Result<> folder(const std::string& path, const PatternList::FolderMatches& included,
                  const PatternList::FolderMatches& excluded) {
    if (pending_.size() > k_deepest) {
      return failure(ErrorKind::invalid_input, "folders are nested too deeply: " + path.substr(0, 80));
    }
    BUILDER_TRY_ASSIGN(const auto entries, tree_.list(path));
    for (const DirectoryEntry& entry : entries) {
      if (stop_.stop_requested()) {
        return failure(ErrorKind::cancelled, "stopped");
      }
      BUILDER_TRY(one(entry, join(path, entry.name), included, excluded));
      if (ended_) {
        break;
      }
    }
    return {};
  }

 private:
  static PatternList includes(const SourceTree& tree, const TransferFilter& filter) {
    std::vector<std::string> patterns = filter.include;
    if (!filter.follow.empty()) {
      LinkResolver resolver(tree);
      for (const std::string& path : filter.follow) {
        resolver.add(path);
      }
      for (std::string& path : resolver.includes()) {
        patterns.push_back(std::move(path));
      }
    }
    return PatternList(patterns);
  }

  Result<> one(const DirectoryEntry& entry, const std::string& path,
               const PatternList::FolderMatches& included,
               const PatternList::FolderMatches& excluded) {
    if (entry.info.type == FileType::other) {
      return {};
    }
    const bool is_folder = entry.info.type == FileType::directory;
    bool skip = false;
    PatternList::FolderMatches my_included;
    PatternList::FolderMatches my_excluded;
    if (!include_.empty() && !include_.matches(path, included, &my_included, stop_)) {
      if (!is_folder || !include_.may_match_below(path)) {
        return {};
      }
      skip = true;
    }
    if (!exclude_.empty() && exclude_.matches(path, excluded, &my_excluded, stop_)) {
      if (!is_folder || !exclude_.may_except_below(path)) {
        return {};
      }
      skip = true;
    }
    WalkEntry found{.path = path, .info = entry.info, .link = {}};
    if (!is_folder) {
      if (skip) {
        return {};
      }
      if (entry.info.type == FileType::symlink) {
        BUILDER_TRY_ASSIGN(found.link, tree_.read_link(path));
      }
      flush();
      ended_ = ended_ || !emit_(found);
      return {};
    }
    pending_.push_back(std::move(found));
    if (!skip) {
      flush();
    }
    const std::size_t depth = pending_.size();
    BUILDER_TRY(folder(path, my_included, my_excluded));
    pending_.resize(depth - 1);
    sent_ = std::min(sent_, pending_.size());
    return {};
  }

  /// Folders that are not selected themselves go out late, when something below them is.
  void flush() {
    for (; sent_ < pending_.size() && !ended_; ++sent_) {
      ended_ = !emit_(pending_[sent_]);
    }
  }

  const SourceTree& tree_;
  const PatternList include_;
  const PatternList exclude_;
  const std::stop_token& stop_;
  const std::function<bool(const WalkEntry&)>& emit_;
  std::vector<WalkEntry> pending_;
  std::size_t sent_ = 0;
  bool ended_ = false;
};

}  // namespace

Result<> walk_context(const SourceTree& tree, const TransferFilter& filter,
                      const std::stop_token& stop,
                      const std::function<bool(const WalkEntry&)>& emit) {
  return Walker(tree, filter, stop, emit).folder("", {}, {});
}

}  // namespace builder::adapters::buildkit
