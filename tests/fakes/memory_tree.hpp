#pragma once

#include "ports/source_tree.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace builder::fakes {

/// A source tree in memory. Links are followed inside the tree; those that lead out are refused, as
/// the port demands. Fill it before handing it out.
class MemoryTree final : public ports::SourceTree {
 public:
  void add_file(const std::string& path, std::string content, std::uint32_t permissions = 0644) {
    add_parents(path);
    nodes_[path] = {ports::FileType::regular, std::move(content), permissions};
  }

  void add_symlink(const std::string& path, std::string target) {
    add_parents(path);
    nodes_[path] = {ports::FileType::symlink, std::move(target), 0777};
  }

  void add_directory(const std::string& path) {
    add_parents(path);
    nodes_[path] = {ports::FileType::directory, {}, 0755};
  }

  void add_other(const std::string& path) {
    add_parents(path);
    nodes_[path] = {ports::FileType::other, {}, 0644};
  }

  Result<std::vector<ports::DirectoryEntry>> list(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const std::string at, resolve(path, true));
    const auto found = nodes_.find(at);
    if (!at.empty() && found->second.type != ports::FileType::directory) {
      return failure(ErrorKind::invalid_input, std::string(path) + " is not a directory");
    }
    const std::string folder = at.empty() ? "" : at + "/";
    std::vector<ports::DirectoryEntry> entries;
    for (const auto& [name, node] : nodes_) {
      if (name.starts_with(folder) && name.size() > folder.size() &&
          name.find('/', folder.size()) == std::string::npos &&
          name.substr(folder.size()) != ".git") {
        entries.push_back({name.substr(folder.size()), info(node)});
      }
    }
    std::ranges::sort(entries, {}, &ports::DirectoryEntry::name);
    return entries;
  }

  Result<ports::FileInfo> stat(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const std::string at, resolve(path, false));
    return at.empty() ? info({ports::FileType::directory, {}, 0755}) : info(nodes_.at(at));
  }

  Result<std::unique_ptr<ports::FileReader>> open(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const std::string at, resolve(path, true));
    if (at.empty() || nodes_.at(at).type != ports::FileType::regular) {
      return failure(ErrorKind::invalid_input, std::string(path) + " is not a regular file");
    }
    return ports::make_memory_reader(nodes_.at(at).content);
  }

  Result<std::string> read_link(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const std::string at, resolve(path, false));
    if (at.empty() || nodes_.at(at).type != ports::FileType::symlink) {
      return failure(ErrorKind::invalid_input, std::string(path) + " is not a symlink");
    }
    return nodes_.at(at).content;
  }

 private:
  struct Node {
    ports::FileType type;
    std::string content;
    std::uint32_t permissions;
  };

  void add_parents(const std::string& path) {
    for (std::size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      nodes_.try_emplace(path.substr(0, slash), Node{ports::FileType::directory, {}, 0755});
    }
  }

  /// Walks `path` as the kernel does below a root it must not leave; gives the node's own path.
  Result<std::string> resolve(std::string_view path, bool follow_last) const {
    std::string rest(path);
    std::string at;
    for (int links = 0; !rest.empty();) {
      if (rest.starts_with('/')) {
        return failure(ErrorKind::denied, std::string(path) + " leads out of the tree");
      }
      const std::size_t slash = std::min(rest.find('/'), rest.size());
      const std::string part = rest.substr(0, slash);
      rest.erase(0, slash + 1);
      if (part == "..") {
        if (at.empty()) {
          return failure(ErrorKind::denied, std::string(path) + " leads out of the tree");
        }
        const std::size_t parent = at.rfind('/');
        at.erase(parent == std::string::npos ? 0 : parent);
        continue;
      }
      const std::string next = at.empty() ? part : at + "/" + part;
      const auto found = nodes_.find(next);
      if (found == nodes_.end() || part == ".git") {
        return failure(ErrorKind::not_found, "no " + std::string(path));
      }
      if (found->second.type == ports::FileType::symlink && (follow_last || !rest.empty())) {
        if (++links > 40) {
          return failure(ErrorKind::denied, std::string(path) + ": too many links");
        }
        rest = found->second.content + (rest.empty() ? "" : "/" + rest);
        continue;
      }
      at = next;
    }
    return at;
  }

  static ports::FileInfo info(const Node& node) {
    const bool folder = node.type == ports::FileType::directory;
    return {.type = node.type,
            .permissions = node.permissions,
            .size = folder ? 0 : node.content.size(),
            .content = folder ? ports::ContentId{} : ports::content_id(node.content)};
  }

  std::map<std::string, Node> nodes_;
};

}  // namespace builder::fakes
