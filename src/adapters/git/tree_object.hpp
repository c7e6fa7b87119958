#pragma once

#include "base/result.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::git {

/// The name of an object: of 20 bytes, or of 32. A commit has many.
class ObjectId {
 public:
  ObjectId() = default;
  /// Of bytes, at most 32.
  explicit ObjectId(std::string_view bytes);

  [[nodiscard]] std::string_view bytes() const {
    return {reinterpret_cast<const char*>(bytes_.data()), size_};
  }

  /// nullopt: no name of an object.
  static std::optional<ObjectId> of_hex(std::string_view text);

  /// As git writes and reads it.
  [[nodiscard]] std::string hex() const;

  bool operator==(const ObjectId&) const = default;

 private:
  std::array<std::uint8_t, 32> bytes_{};
  std::uint8_t size_ = 0;
};

/// One name in a commit's tree. Folders hold what is below them, sorted bytewise by name.
struct TreeNode {
  enum class Kind : std::uint8_t { file, executable, link, folder, submodule };

  std::string name;
  ObjectId object;  ///< Blob or tree, or the submodule's commit.
  Kind kind = Kind::file;
  std::uint64_t size = 0;  ///< Bytes of a file, or of a link's target.
  std::vector<TreeNode> children = {};

  [[nodiscard]] bool is_file() const { return kind == Kind::file || kind == Kind::executable; }

  [[nodiscard]] bool is_folder() const { return kind == Kind::folder; }

  [[nodiscard]] bool is_link() const { return kind == Kind::link; }

  [[nodiscard]] bool is_submodule() const { return kind == Kind::submodule; }
};

/// A tree object: (<mode> SP <name> NUL <object id>)*, an id of `id_bytes`. `invalid_input` with
/// the customer's line for what git never checks out and for more than `most` entries; `internal`
/// for what is no tree.
Result<std::vector<TreeNode>> parse_tree(std::string_view content, std::size_t id_bytes,
                                         std::size_t most);

}  // namespace builder::adapters::git
