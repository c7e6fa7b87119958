#include "adapters/git/commit_listing.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace builder::adapters::git {

namespace {

constexpr std::size_t k_most_entries = 500'000;
/// Whoever walks the tree does so by recursion.
constexpr int k_deepest_folder = 200;

/// Linux's PATH_MAX: following a link costs time by its length.
constexpr std::uint64_t k_longest_target = 4'095;

std::unexpected<Error> refused(std::string message, std::string customer) {
  return std::unexpected(Error{.kind = ErrorKind::invalid_input,
                               .message = std::move(message),
                               .customer = std::move(customer)});
}

/// What git writes for a kind of entry: old repositories hold other permission bits.
std::string_view plain_mode(std::string_view mode) {
  if (mode == "40000" || mode == "120000" || mode == "160000") {
    return mode == "40000" ? "040000" : mode;
  }
  if (mode.size() == 6 && mode.starts_with("100")) {
    return (mode[3] - '0') % 2 == 1 ? "100755" : "100644";
  }
  return "";
}

/// A tree object: (<mode> SP <name> NUL <object id>)*, the id in as many bytes as a commit's has.
Result<std::vector<TreeNode>> parse_tree(std::string_view content, std::size_t id_bytes) {
  std::vector<TreeNode> nodes;
  while (!content.empty()) {
    const std::size_t space = content.find(' ');
    const std::size_t end = content.find('\0');
    if (space == std::string_view::npos || end == std::string_view::npos || space > end ||
        content.size() - end - 1 < id_bytes) {
      return failure(ErrorKind::internal, "unreadable tree object");
    }
    TreeNode node;
    node.mode = plain_mode(content.substr(0, space));
    node.name = content.substr(space + 1, end - space - 1);
    node.object = hex(content.substr(end + 1, id_bytes));
    if (node.mode.empty() || node.name.empty() || node.name == "." || node.name == ".." ||
        node.name.contains('/')) {
      return refused("a tree entry that cannot be a file",
                     "The repository holds paths that are not allowed; it may be damaged");
    }
    nodes.push_back(std::move(node));
    content.remove_prefix(end + 1 + id_bytes);
  }
  std::ranges::sort(nodes, {}, &TreeNode::name);
  if (std::ranges::adjacent_find(nodes, {}, &TreeNode::name) != nodes.end()) {
    return refused("a tree holds a name twice",
                   "The repository holds a path twice in one folder; it may be damaged");
  }
  return nodes;
}

/// Of the header's line `committer NAME <ADDRESS> SECONDS ZONE`. Repositories hold times that
/// nobody has lived in: those become the nearest second that every tool can write.
std::chrono::sys_seconds committed_at(std::string_view header) {
  constexpr std::int64_t k_year_9999 = 253'402'300'799;
  const auto begin = header.find("\ncommitter ");
  const auto line = begin == std::string_view::npos
                        ? std::string_view()
                        : header.substr(begin + 1, header.find('\n', begin + 1) - begin - 1);
  std::int64_t seconds = 0;
  if (const auto name_end = line.rfind("> "); name_end != std::string_view::npos) {
    const char* const first = line.data() + name_end + 2;
    const auto read = std::from_chars(first, line.data() + line.size(), seconds);
    seconds = read.ec == std::errc::result_out_of_range ? k_year_9999 : seconds;
  }
  return std::chrono::sys_seconds(
      std::chrono::seconds(std::clamp<std::int64_t>(seconds, 0, k_year_9999)));
}

class Lister {
 public:
  Lister(const ports::JobContext& job, ObjectReader& objects) : job_(job), objects_(objects) {}

  Result<CommitListing> list(const std::string& commit) {
    BUILDER_TRY_ASSIGN(const auto commits,
                       objects_.contents(job_, std::span(&commit, 1), "commit"));
    const std::string_view text = commits.front();
    if (!text.starts_with("tree ")) {
      return failure(ErrorKind::internal, "unreadable commit object");
    }
    CommitListing listing;
    listing.root = {.name = {}, .mode = "040000", .object = {}, .size = 0, .children = {}};
    listing.root.object = text.substr(5, commit.size());
    listing.committed_at = committed_at(text.substr(0, text.find("\n\n")));
    if (const std::size_t blank = text.find("\n\n"); blank != std::string_view::npos) {
      listing.subject = text.substr(blank + 2, text.find('\n', blank + 2) - blank - 2);
    }
    std::vector<TreeNode*> level{&listing.root};
    for (int depth = 0; !level.empty(); ++depth) {
      if (depth > k_deepest_folder) {
        return refused("folders nested too deeply",
                       "The repository's folders are nested too deeply; at most 200 are allowed");
      }
      BUILDER_TRY(fill(level));
    }
    BUILDER_TRY(measure());
    return listing;
  }

 private:
  /// Fills the folders of one level, and puts those of the next one in their place.
  Result<> fill(std::vector<TreeNode*>& level) {
    std::vector<std::string> wanted;
    for (const TreeNode* folder : level) {
      wanted.push_back(folder->object);
    }
    std::ranges::sort(wanted);
    wanted.erase(std::ranges::unique(wanted).begin(), wanted.end());
    BUILDER_TRY_ASSIGN(const auto contents, objects_.contents(job_, wanted, "tree"));
    std::vector<TreeNode*> next;
    for (TreeNode* folder : level) {
      const auto at = std::ranges::lower_bound(wanted, folder->object) - wanted.begin();
      BUILDER_TRY_ASSIGN(folder->children, parse_tree(contents[static_cast<std::size_t>(at)],
                                                      folder->object.size() / 2));
      count_ += folder->children.size();
      if (count_ > k_most_entries) {
        return refused("too many files", "The repository has more than 500,000 files and folders");
      }
      for (TreeNode& node : folder->children) {
        if (node.is_folder()) {
          next.push_back(&node);
        } else if (!node.is_submodule()) {
          files_.push_back(&node);
        }
      }
    }
    level = std::move(next);
    return {};
  }

  Result<> measure() {
    std::vector<std::string> wanted;
    for (const TreeNode* file : files_) {
      wanted.push_back(file->object);
    }
    BUILDER_TRY_ASSIGN(const auto sizes, objects_.sizes(job_, wanted, "blob"));
    for (std::size_t i = 0; i < files_.size(); ++i) {
      files_[i]->size = sizes[i];
      if (files_[i]->is_link() && sizes[i] > k_longest_target) {
        return refused("a link whose target is longer than a path can be",
                       "The repository holds a link with a target of more than 4,095 bytes");
      }
    }
    return {};
  }

  const ports::JobContext& job_;
  ObjectReader& objects_;
  std::vector<TreeNode*> files_;
  std::size_t count_ = 0;
};

}  // namespace

Result<CommitListing> list_commit(const ports::JobContext& job, ObjectReader& objects,
                                  const std::string& commit) {
  return Lister(job, objects).list(commit);
}

}  // namespace builder::adapters::git
