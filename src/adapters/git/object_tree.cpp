#include "adapters/git/object_tree.hpp"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

namespace builder::adapters::git {

namespace {

using ports::DirectoryEntry;
using ports::FileInfo;
using ports::FileReader;
using ports::FileType;
using ports::JobContext;

/// Smaller files are read whole; larger ones come from a process of their own.
constexpr std::uint64_t k_small_file = 4u << 20;
/// A local process that does not answer in this time never will.
constexpr std::chrono::seconds k_patience{60};
constexpr int k_most_links = 40;  // As the kernel has it.

JobContext patience() {
  return {
      .deployment_id = {}, .stop = {}, .deadline = std::chrono::steady_clock::now() + k_patience};
}

class StreamedFile final : public FileReader {
 public:
  explicit StreamedFile(Coprocess git) : git_(std::move(git)) {}

  Result<std::size_t> read(std::span<std::byte> buffer) override {
    return git_.read(std::span(reinterpret_cast<char*>(buffer.data()), buffer.size()), {},
                     patience().deadline);
  }

 private:
  Coprocess git_;
};

class ObjectTree final : public ports::SourceTree {
 public:
  ObjectTree(const GitProcess& git, MirrorUse mirror, ObjectReader objects, TreeNode root)
      : git_(git),
        mirror_(std::move(mirror)),
        root_(std::move(root)),
        objects_(std::move(objects)) {}

  Result<std::vector<DirectoryEntry>> list(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const TreeNode* node, find(path, true));
    if (!node->is_folder()) {
      return failure(ErrorKind::not_found, std::string(path) + " is no folder");
    }
    std::vector<DirectoryEntry> entries;
    for (const TreeNode& child : node->children) {
      if (child.name != ".git") {
        entries.push_back({child.name, info(child)});
      }
    }
    return entries;
  }

  Result<FileInfo> stat(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const TreeNode* node, find(path, false));
    return info(*node);
  }

  Result<std::unique_ptr<FileReader>> open(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const TreeNode* node, find(path, true));
    if (node->is_folder()) {
      return failure(ErrorKind::invalid_input, std::string(path) + " is not a regular file");
    }
    if (node->size <= k_small_file) {
      BUILDER_TRY_ASSIGN(std::string content, read_object(*node));
      return ports::make_memory_reader(std::move(content));
    }
    BUILDER_TRY_ASSIGN(Coprocess git, git_.start({"cat-file", "blob", node->object.hex()},
                                                 {.git_dir = mirror_.folder()}));
    return std::make_unique<StreamedFile>(std::move(git));
  }

  Result<std::string> read_link(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const TreeNode* node, find(path, false));
    if (!node->is_link()) {
      return failure(ErrorKind::invalid_input, std::string(path) + " is not a symlink");
    }
    return read_object(*node);
  }

 private:
  static std::unexpected<Error> nothing_at(std::string_view path) {
    return failure(ErrorKind::not_found, "no " + std::string(path));
  }

  /// Follows links on the way, and in the last part too if asked to; never out of the tree.
  Result<const TreeNode*> find(std::string_view path, bool follow_last) const {
    // From the root down to where we are, so that ".." of a link's target leads up again.
    std::vector<const TreeNode*> way{&root_};
    std::string rest(path);
    if (rest.starts_with('/')) {
      return failure(ErrorKind::denied, rest + " leads out of the repository");
    }
    int links = 0;
    while (!rest.empty()) {
      const std::size_t slash = rest.find('/');
      const std::string part = rest.substr(0, slash);
      rest = slash == std::string::npos ? "" : rest.substr(slash + 1);
      if (part.empty() || part == ".") {
        continue;
      }
      if (part == "..") {
        if (way.size() == 1) {
          return failure(ErrorKind::denied, std::string(path) + " leads out of the repository");
        }
        way.pop_back();
        continue;
      }
      const TreeNode* node = child(*way.back(), part);
      if (node == nullptr) {
        return nothing_at(path);
      }
      if (!node->is_link() || (rest.empty() && !follow_last)) {
        way.push_back(node);
        continue;
      }
      if (++links > k_most_links) {
        return failure(ErrorKind::denied, std::string(path) + " is a loop of links");
      }
      BUILDER_TRY_ASSIGN(const std::string target, read_object(*node));
      if (target.starts_with('/')) {
        return failure(ErrorKind::denied, std::string(path) + " leads out of the repository");
      }
      rest = rest.empty() ? target : target + "/" + rest;
    }
    return way.back();
  }

  static const TreeNode* child(const TreeNode& folder, std::string_view name) {
    if (name == ".git") {
      return nullptr;
    }
    const auto found = std::ranges::lower_bound(folder.children, name, {}, &TreeNode::name);
    return found != folder.children.end() && found->name == name ? &*found : nullptr;
  }

  static FileInfo info(const TreeNode& node) {
    FileInfo info;
    if (node.is_folder()) {
      info.type = FileType::directory;
      info.permissions = 0755;
      return info;
    }
    info.type = node.is_link() ? FileType::symlink : FileType::regular;
    info.permissions = node.is_link()                            ? 0777
                       : node.kind == TreeNode::Kind::executable ? 0755
                                                                 : 0644;
    info.size = node.size;
    info.content = content_of(node);
    return info;
  }

  Result<std::string> read_object(const TreeNode& node) const {
    auto contents = [&, object = node.object.hex()] {
      // Held across the question and its answer: there is one process to ask.
      const std::scoped_lock lock(objects_mutex_);
      return objects_.contents(patience(), std::span(&object, 1), "blob");
    }();
    if (!contents) {
      // Every object was here when the commit was listed.
      mirror_.condemn();
      Error error = std::move(contents).error();
      error.kind = ErrorKind::unavailable;
      return std::unexpected(std::move(error).for_customer(
          "The builder's copy of the repository was damaged or removed"));
    }
    return std::move(contents->front());
  }

  const GitProcess& git_;
  MirrorUse mirror_;
  TreeNode root_;
  mutable std::mutex objects_mutex_;
  mutable ObjectReader objects_;
};

}  // namespace

std::shared_ptr<const ports::SourceTree> make_object_tree(const GitProcess& git, MirrorUse mirror,
                                                          ObjectReader objects, TreeNode root) {
  return std::make_shared<ObjectTree>(git, std::move(mirror), std::move(objects), std::move(root));
}

ports::ContentId content_of(const TreeNode& node, std::string_view attributes) {
  if (!attributes.empty()) {
    return ports::content_id(node.object.hex() + std::string(attributes));
  }
  // The object's own id, or the front of a longer one.
  ports::ContentId id{};
  const std::string_view bytes = node.object.bytes();
  std::ranges::copy(bytes.substr(0, id.size()), id.begin());
  return id;
}

}  // namespace builder::adapters::git
