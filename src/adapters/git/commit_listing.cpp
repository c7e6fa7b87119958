#include "adapters/git/commit_listing.hpp"

#include "adapters/git/git_process.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <cctype>
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

/// What git makes of an entry's mode, which tools have written in many ways: with zeros in front,
/// with any permissions. Whatever is no file, link or folder is a submodule to git. Empty: no mode.
std::string_view plain_mode(std::string_view digits) {
  constexpr unsigned k_type = 0170000;
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), mode, 8);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return "";
  }
  switch (mode & k_type) {
    case 0100000:
      return (mode & 0100u) != 0 ? "100755" : "100644";
    case 0120000:
      return "120000";
    case 0040000:
      return "040000";
    default:
      return "160000";
  }
}

char lower(char c) {
  return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}

/// `name` as the file systems of other machines read it: HFS+ passes over some characters, NTFS
/// over what ends a name, and both over its case.
std::string seen_elsewhere(std::string_view name) {
  std::string seen;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const std::string_view next = name.substr(i, 3);
    // U+200C…U+200F, U+202A…U+202E, U+206A…U+206F, U+FEFF.
    const auto last = static_cast<unsigned char>(next.back());
    if (next == "\xEF\xBB\xBF" ||
        (next.size() == 3 && next.starts_with("\xE2\x80") &&
         ((last >= 0x8C && last <= 0x8F) || (last >= 0xAA && last <= 0xAE))) ||
        (next.size() == 3 && next.starts_with("\xE2\x81") && last >= 0xAA && last <= 0xAF)) {
      i += 2;
      continue;
    }
    seen += lower(name[i]);
  }
  seen.resize(std::min(seen.find_first_of("\\:"), seen.size()));
  seen.resize(seen.find_last_not_of(" .") + 1);  // npos + 1 is 0.
  return seen;
}

/// The word of git-fsck(1) for a name that git never checks out; empty for all others.
std::string_view objection(std::string_view name, std::string_view mode) {
  // A whole path where a name belongs: git makes the folders.
  if (const std::size_t slash = name.find('/'); slash != std::string_view::npos) {
    const auto word = objection(name.substr(0, slash), "040000");
    return word.empty() ? objection(name.substr(slash + 1), mode) : word;
  }
  if (name.empty()) {
    return "emptyName";
  }
  if (name == ".") {
    return "hasDot";
  }
  if (name == "..") {
    return "hasDotdot";
  }
  const std::string seen = seen_elsewhere(name);
  if (seen == ".git" || seen == "git~1") {
    return "hasDotgit";
  }
  return mode == "120000" && seen == ".gitmodules" ? "gitmodulesSymlink" : "";
}

std::unexpected<Error> refused_name(std::string_view name, std::string_view word) {
  return refused("tree entry " + printable(std::string(name)) + ": " + std::string(word),
                 cut_characters("git refuses a path of this repository (" + std::string(word) +
                                    "): '" + printable(std::string(name)).substr(0, 100) +
                                    "'; remove it from the commit",
                                191));
}

/// What git makes of names that come more than once: of files the last one counts.
Result<> drop_repeated(std::vector<TreeNode>& nodes) {
  std::ranges::stable_sort(nodes, {}, &TreeNode::name);
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    const bool files = nodes[i].mode.starts_with("100") && nodes[i - 1].mode.starts_with("100");
    const bool equal = nodes[i].object == nodes[i - 1].object && nodes[i].mode == nodes[i - 1].mode;
    if (nodes[i].name == nodes[i - 1].name && !files && !equal) {
      return refused_name(nodes[i].name, "duplicateEntries");
    }
  }
  const auto repeated = std::ranges::unique(nodes.rbegin(), nodes.rend(), {}, &TreeNode::name);
  nodes.erase(nodes.begin(), repeated.begin().base());
  return {};
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
    if (node.mode.empty()) {
      return refused_name(node.name, "badFilemode");
    }
    if (node.object.find_first_not_of('0') == std::string::npos) {
      return refused_name(node.name, "nullSha1");
    }
    if (const auto word = objection(node.name, node.mode); !word.empty()) {
      return refused_name(node.name, word);
    }
    nodes.push_back(std::move(node));
    content.remove_prefix(end + 1 + id_bytes);
  }
  BUILDER_TRY(drop_repeated(nodes));
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
    listing.has_paths = has_paths_;
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
        has_paths_ = has_paths_ || node.name.contains('/');
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
  bool has_paths_ = false;
};

}  // namespace

Result<CommitListing> list_commit(const ports::JobContext& job, ObjectReader& objects,
                                  const std::string& commit) {
  return Lister(job, objects).list(commit);
}

}  // namespace builder::adapters::git
