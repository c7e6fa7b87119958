#include "adapters/git/commit_listing.hpp"

#include "adapters/git/git_process.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

namespace builder::adapters::git {

namespace {

/// Whoever walks the tree does so by recursion.
constexpr int k_deepest_tree = 200;

/// Linux's PATH_MAX, for links' targets as well: following one costs time by its length.
constexpr std::uint64_t k_longest_path = 4'095;

std::unexpected<Error> refused(std::string message, std::string customer) {
  return std::unexpected(Error{.kind = ErrorKind::invalid_input,
                               .message = std::move(message),
                               .customer = std::move(customer)});
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
  Lister(const ports::JobContext& job, ObjectReader& objects, ListingRoom& room)
      : job_(job), objects_(objects), room_(room) {}

  Result<CommitListing> list(const std::string& commit, std::size_t prefix) {
    BUILDER_TRY_ASSIGN(const auto commits,
                       objects_.contents(job_, std::span(&commit, 1), "commit"));
    const std::string_view text = commits.front();
    const auto tree = ObjectId::of_hex(
        text.substr(std::min<std::size_t>(5, text.size())).substr(0, commit.size()));
    if (!text.starts_with("tree ") || !tree) {
      return failure(ErrorKind::internal, "unreadable commit object");
    }
    CommitListing listing;
    std::vector<Folder> level{{.node = &listing.root, .path = prefix}};
    listing.root.kind = TreeNode::Kind::folder;
    listing.root.object = *tree;
    for (int depth = 0; !level.empty(); ++depth) {
      if (depth > k_deepest_tree) {
        return refused("folders nested too deeply",
                       "The repository's folders are nested too deeply; at most 200 are allowed");
      }
      BUILDER_TRY(fill(level));
    }
    BUILDER_TRY(measure());
    listing.committed_at = committed_at(text.substr(0, text.find("\n\n")));
    if (const std::size_t blank = text.find("\n\n"); blank != std::string_view::npos) {
      listing.subject = text.substr(blank + 2, text.find('\n', blank + 2) - blank - 2);
    }
    listing.has_paths = has_paths_;
    listing.bytes = bytes_;
    return listing;
  }

 private:
  struct Folder {
    TreeNode* node;
    std::size_t path;  ///< Its length, with the '/' behind it.
  };

  /// Fills the folders of one level, and puts those of the next one in their place.
  Result<> fill(std::vector<Folder>& level) {
    std::vector<std::string> wanted;
    for (const Folder& folder : level) {
      wanted.push_back(folder.node->object.hex());
    }
    std::ranges::sort(wanted);
    wanted.erase(std::ranges::unique(wanted).begin(), wanted.end());
    BUILDER_TRY_ASSIGN(const auto sizes, objects_.sizes(job_, wanted, "tree"));
    const std::uint64_t bytes = std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0});
    if (bytes > room_.list_bytes) {
      return refused("the trees of the commit have more than 64 MiB",
                     "The repository's lists of "
                     "file names have more than 64 MiB; put fewer files into it");
    }
    room_.list_bytes -= bytes;
    BUILDER_TRY_ASSIGN(const auto contents, objects_.contents(job_, wanted, "tree"));
    std::vector<Folder> next;
    for (const Folder& folder : level) {
      const std::string id = folder.node->object.hex();
      const auto at = std::ranges::lower_bound(wanted, id) - wanted.begin();
      BUILDER_TRY_ASSIGN(folder.node->children, parse_tree(contents[static_cast<std::size_t>(at)],
                                                           id.size() / 2, room_.entries));
      room_.entries -= folder.node->children.size();
      for (TreeNode& node : folder.node->children) {
        BUILDER_TRY(take_path(folder.path + node.name.size()));
        has_paths_ = has_paths_ || node.name.contains('/');
        if (node.is_folder()) {
          next.push_back({.node = &node, .path = folder.path + node.name.size() + 1});
        } else if (!node.is_submodule()) {
          files_.push_back(&node);
        }
      }
    }
    level = std::move(next);
    return {};
  }

  Result<> take_path(std::size_t length) {
    if (length > k_longest_path) {
      return refused("a path of more than 4,095 bytes",
                     "The repository holds a path of more than 4,095 bytes, which no Linux takes; "
                     "please shorten its names");
    }
    if (length > room_.path_bytes) {
      return refused("the paths of the commit have more than 40 MiB",
                     "The names of the repository's files, with their folders, have more than 40 "
                     "MiB; put fewer files into it, or shorten their paths");
    }
    room_.path_bytes -= length;
    return {};
  }

  Result<> measure() {
    std::vector<std::string> wanted;
    wanted.reserve(files_.size());
    for (const TreeNode* file : files_) {
      wanted.push_back(file->object.hex());
    }
    BUILDER_TRY_ASSIGN(const auto sizes, objects_.sizes(job_, wanted, "blob"));
    for (std::size_t i = 0; i < files_.size(); ++i) {
      files_[i]->size = sizes[i];
      bytes_ += sizes[i];
      if (files_[i]->is_link() && sizes[i] > k_longest_path) {
        return refused("a link whose target is longer than a path can be",
                       "The repository holds a link with a target of more than 4,095 bytes");
      }
    }
    return {};
  }

  const ports::JobContext& job_;
  ObjectReader& objects_;
  ListingRoom& room_;
  std::vector<TreeNode*> files_;
  std::uint64_t bytes_ = 0;
  bool has_paths_ = false;
};

}  // namespace

Result<CommitListing> list_commit(const ports::JobContext& job, ObjectReader& objects,
                                  const std::string& commit, ListingRoom& room,
                                  std::size_t prefix) {
  return Lister(job, objects, room).list(commit, prefix);
}

}  // namespace builder::adapters::git
