#include "adapters/git/tree_object.hpp"

#include "adapters/git/git_process.hpp"
#include "base/ascii.hpp"
#include "base/text.hpp"
#include "domain/customer_line.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace builder::adapters::git {

namespace {

using Kind = TreeNode::Kind;

/// What git makes of an entry's mode, which tools have written in many ways: with zeros in front,
/// with any permissions. Whatever is no file, link or folder is a submodule to git. nullopt: no
/// mode.
std::optional<Kind> kind_of(std::string_view digits) {
  constexpr unsigned k_type = 0170000;
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), mode, 8);
  if (error != std::errc() || end != digits.data() + digits.size()) {
    return std::nullopt;
  }
  switch (mode & k_type) {
    case 0100000:
      return (mode & 0100u) != 0 ? Kind::executable : Kind::file;
    case 0120000:
      return Kind::link;
    case 0040000:
      return Kind::folder;
    default:
      return Kind::submodule;
  }
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
    seen += name[i];
  }
  seen.resize(std::min(seen.find_first_of("\\:"), seen.size()));
  seen.resize(seen.find_last_not_of(" .") + 1);  // npos + 1 is 0.
  return lower_case(seen);
}

/// The word of git-fsck(1) for a name that git never checks out; empty for all others.
std::string_view objection_to_part(std::string_view name, bool is_link) {
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
  return is_link && seen == ".gitmodules" ? "gitmodulesSymlink" : "";
}

std::string_view objection(std::string_view name, Kind kind) {
  // A whole path where a name belongs: git makes the folders.
  for (;;) {
    const std::size_t slash = name.find('/');
    const bool is_last = slash == std::string_view::npos;
    const auto word = objection_to_part(name.substr(0, slash), is_last && kind == Kind::link);
    if (is_last || !word.empty()) {
      return word;
    }
    name.remove_prefix(slash + 1);
  }
}

std::unexpected<Error> refused_name(std::string_view name, std::string_view word) {
  return std::unexpected(
      Error{.kind = ErrorKind::invalid_input,
            .message = "tree entry " + printable_line(name) + ": " + std::string(word),
            .customer = domain::customer_line(
                "git refuses a path of this repository (" + std::string(word) + "): '" +
                printable_line(name).substr(0, 100) + "'; remove it from the commit")});
}

/// What git makes of names that come more than once: of files the last one counts.
Result<> drop_repeated(std::vector<TreeNode>& nodes) {
  std::ranges::stable_sort(nodes, {}, &TreeNode::name);
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    const bool files = nodes[i].is_file() && nodes[i - 1].is_file();
    const bool equal = nodes[i].object == nodes[i - 1].object && nodes[i].kind == nodes[i - 1].kind;
    if (nodes[i].name == nodes[i - 1].name && !files && !equal) {
      return refused_name(nodes[i].name, "duplicateEntries");
    }
  }
  const auto repeated = std::ranges::unique(nodes.rbegin(), nodes.rend(), {}, &TreeNode::name);
  nodes.erase(nodes.begin(), repeated.begin().base());
  return {};
}

}  // namespace

ObjectId::ObjectId(std::string_view bytes)
    : size_(static_cast<std::uint8_t>(std::min(bytes.size(), bytes_.size()))) {
  std::ranges::copy(bytes.substr(0, size_), bytes_.begin());
}

std::optional<ObjectId> ObjectId::of_hex(std::string_view text) {
  ObjectId id;
  if (text.size() % 2 != 0 || text.size() / 2 > id.bytes_.size()) {
    return std::nullopt;
  }
  for (std::size_t at = 0; at < text.size(); at += 2) {
    const char* const end = text.data() + at + 2;
    if (std::from_chars(text.data() + at, end, id.bytes_.at(id.size_++), 16).ptr != end) {
      return std::nullopt;
    }
  }
  return id;
}

std::string ObjectId::hex() const {
  return builder::hex(bytes());
}

std::unexpected<Error> too_many_files() {
  return std::unexpected(
      Error{.kind = ErrorKind::invalid_input,
            .message = "too many files",
            .customer = "The repository has more than 500,000 files and folders"});
}

Result<std::vector<TreeNode>> parse_tree(std::string_view content, std::size_t id_bytes,
                                         std::size_t most) {
  std::vector<TreeNode> nodes;
  while (!content.empty()) {
    if (nodes.size() == most) {
      return too_many_files();
    }
    const std::size_t space = content.find(' ');
    const std::size_t end = content.find('\0');
    if (space == std::string_view::npos || end == std::string_view::npos || space > end ||
        content.size() - end - 1 < id_bytes) {
      return failure(ErrorKind::internal, "unreadable tree object");
    }
    const std::string_view name = content.substr(space + 1, end - space - 1);
    const auto kind = kind_of(content.substr(0, space));
    if (!kind) {
      return refused_name(name, "badFilemode");
    }
    TreeNode node{.name = std::string(name),
                  .object = ObjectId(content.substr(end + 1, id_bytes)),
                  .kind = *kind};
    if (node.object.bytes().find_first_not_of('\0') == std::string_view::npos) {
      return refused_name(name, "nullSha1");
    }
    if (const auto word = objection(name, *kind); !word.empty()) {
      return refused_name(name, word);
    }
    nodes.push_back(std::move(node));
    content.remove_prefix(end + 1 + id_bytes);
  }
  BUILDER_TRY(drop_repeated(nodes));
  nodes.shrink_to_fit();  // There are many, and they stay.
  return nodes;
}

}  // namespace builder::adapters::git
