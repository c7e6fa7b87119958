#pragma once

#include "base/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::host {

/// The kernel's control groups as folders: one hierarchy (version 2), or one for each controller.
class CgroupTree {
 public:
  explicit CgroupTree(std::string root);

  [[nodiscard]] bool is_v2() const { return v2_; }

  /// Of a group's file of a controller; `group` begins with '/'.
  [[nodiscard]] std::string file(std::string_view controller, const std::string& group,
                                 std::string_view name) const;
  /// Makes the group for the controllers a build needs; a group that is there is fine.
  [[nodiscard]] Result<> make(const std::string& group) const;
  /// Removes the group with those below it in all hierarchies; false while processes are in it.
  [[nodiscard]] bool remove(const std::string& group) const;
  /// Version 2: lets groups below `group` have limits.
  [[nodiscard]] Result<> delegate(const std::string& group) const;
  /// Names of the groups right below.
  [[nodiscard]] std::vector<std::string> below(const std::string& group) const;
  /// A folder of the group, to lock.
  [[nodiscard]] std::string folder(const std::string& group) const;

 private:
  [[nodiscard]] std::string hierarchy(std::string_view controller) const;

  std::string root_;
  bool v2_ = false;
  std::vector<std::string> hierarchies_;  ///< Of version 1, with what else runc puts a step in.
};

/// For control files: one write, whole.
Result<> write_control(const std::string& path, std::string_view value);
/// Empty when it cannot be read.
std::string read_control(const std::string& path);

}  // namespace builder::adapters::host
