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

  /// The folder of all groups of a controller, without a slash at its end.
  [[nodiscard]] std::string hierarchy(std::string_view controller) const;
  /// Of a group's file of a controller; `group` begins with '/'.
  [[nodiscard]] std::string file(std::string_view controller, const std::string& group,
                                 std::string_view name) const;
  /// Names of the groups right below.
  [[nodiscard]] std::vector<std::string> below(std::string_view controller,
                                               const std::string& group) const;
  /// All groups in which a BuildKit runs a step at the moment.
  [[nodiscard]] std::vector<std::string> steps(std::string_view controller) const;

 private:
  std::string root_;
  bool v2_ = false;
};

/// Whether a BuildKit names the group of a step so, wherever its daemon puts them:
/// `…/buildkit/ID`, `…-ID.scope`, `…:ID`, with 25 letters and digits of its own making.
bool is_step_group(std::string_view group);

/// For control files: one write, whole.
Result<> write_control(const std::string& path, std::string_view value);
/// The beginning of a file of the kernel's; empty when it cannot be read. How long one is may be up
/// to what a customer started.
std::string read_control(const std::string& path, std::size_t most = 1U << 20U);

}  // namespace builder::adapters::host
