#pragma once

#include "ports/source_tree.hpp"

#include <algorithm>
#include <cstring>
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
    const std::string folder = path.empty() ? "" : std::string(path) + "/";
    std::vector<ports::DirectoryEntry> entries;
    for (const auto& [name, node] : nodes_) {
      if (name.starts_with(folder) && name.size() > folder.size() &&
          name.find('/', folder.size()) == std::string::npos) {
        entries.push_back({name.substr(folder.size()), info(node)});
      }
    }
    std::ranges::sort(entries, {}, &ports::DirectoryEntry::name);
    return entries;
  }

  Result<ports::FileInfo> stat(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const Node* node, find(std::string(path)));
    return info(*node);
  }

  Result<std::unique_ptr<ports::FileReader>> open(std::string_view path) const override {
    std::string at(path);
    for (int links = 0; links < 8; ++links) {
      BUILDER_TRY_ASSIGN(const Node* node, find(at));
      if (node->type == ports::FileType::regular) {
        return std::make_unique<Reader>(node->content);
      }
      if (node->type != ports::FileType::symlink) {
        return failure(ErrorKind::invalid_input, at + " is not a regular file");
      }
      if (node->content.starts_with('/') || node->content.starts_with("..")) {
        return failure(ErrorKind::denied, at + " leads out of the tree");
      }
      const std::size_t slash = at.rfind('/');
      at = (slash == std::string::npos ? "" : at.substr(0, slash + 1)) + node->content;
    }
    return failure(ErrorKind::denied, "too many links");
  }

  Result<std::string> read_link(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const Node* node, find(std::string(path)));
    if (node->type != ports::FileType::symlink) {
      return failure(ErrorKind::invalid_input, std::string(path) + " is not a symlink");
    }
    return node->content;
  }

 private:
  struct Node {
    ports::FileType type;
    std::string content;
    std::uint32_t permissions;
  };

  class Reader final : public ports::FileReader {
   public:
    explicit Reader(std::string_view content) : rest_(content) {}

    Result<std::size_t> read(std::span<std::byte> buffer) override {
      const std::size_t count = std::min(buffer.size(), rest_.size());
      std::memcpy(buffer.data(), rest_.data(), count);
      rest_.remove_prefix(count);
      return count;
    }

   private:
    std::string_view rest_;
  };

  void add_parents(const std::string& path) {
    for (std::size_t slash = path.find('/'); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
      nodes_.try_emplace(path.substr(0, slash), Node{ports::FileType::directory, {}, 0755});
    }
  }

  Result<const Node*> find(const std::string& path) const {
    const auto found = nodes_.find(path);
    if (found == nodes_.end()) {
      return failure(ErrorKind::not_found, "no " + path);
    }
    return &found->second;
  }

  static ports::FileInfo info(const Node& node) {
    const bool folder = node.type == ports::FileType::directory;
    return {.type = node.type,
            .permissions = node.permissions,
            .size = folder ? 0 : node.content.size(),
            .modified =
                static_cast<std::int64_t>(std::hash<std::string>{}(node.content) % 1'000'000'000)};
  }

  std::map<std::string, Node> nodes_;
};

}  // namespace builder::fakes
