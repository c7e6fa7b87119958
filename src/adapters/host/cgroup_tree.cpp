#include "adapters/host/cgroup_tree.hpp"

#include "base/fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <sstream>
#include <utility>

namespace builder::adapters::host {

namespace {

namespace fs = std::filesystem;

/// Of the names BuildKit makes up: 17 random bytes in base 36.
constexpr std::size_t k_id_length = 25;

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

void collect_steps(const CgroupTree& tree, std::string_view controller, const std::string& group,
                   std::vector<std::string>& found) {
  for (const std::string& name : tree.below(controller, group)) {
    const std::string inner = group + "/" + name;
    if (is_step_group(inner)) {
      found.push_back(inner);
    } else {
      collect_steps(tree, controller, inner, found);
    }
  }
}

}  // namespace

Result<> write_control(const std::string& path, std::string_view value) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), value.data(), value.size()) < 0) {
    return errno_failure("write " + path);
  }
  return {};
}

std::string read_control(const std::string& path, std::size_t most) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  while (file && text.size() < most) {
    std::array<char, 4'096> piece{};
    const auto size = ::read(file.get(), piece.data(), std::min(piece.size(), most - text.size()));
    if (size <= 0) {
      break;
    }
    text.append(piece.data(), static_cast<std::size_t>(size));
  }
  return text;
}

CgroupTree::CgroupTree(std::string root)
    : root_(std::move(root)), v2_(exists(root_ + "/cgroup.controllers")) {
}

std::string CgroupTree::hierarchy(std::string_view controller) const {
  return v2_ ? root_ : root_ + "/" + std::string(controller);
}

std::string CgroupTree::file(std::string_view controller, const std::string& group,
                             std::string_view name) const {
  return hierarchy(controller) + group + "/" + std::string(name);
}

std::vector<std::string> CgroupTree::below(std::string_view controller,
                                           const std::string& group) const {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(hierarchy(controller) + group, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code unseen;
    if (at->symlink_status(unseen).type() == fs::file_type::directory) {
      names.push_back(at->path().filename().string());
    }
  }
  return names;
}

std::vector<std::string> CgroupTree::steps(std::string_view controller) const {
  std::vector<std::string> found;
  collect_steps(*this, controller, "", found);
  return found;
}

bool is_step_group(std::string_view group) {
  std::string_view folder = group.substr(0, group.rfind('/'));
  std::string_view name = group.substr(folder.size() + 1);
  const bool is_scope = name.ends_with(".scope");
  name.remove_suffix(is_scope ? 6 : 0);
  if (name.size() < k_id_length) {
    return false;
  }
  const std::string_view before = name.substr(0, name.size() - k_id_length);
  const bool is_id = std::ranges::all_of(name.substr(before.size()), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z');
  });
  return is_id && (is_scope         ? before.ends_with('-')
                   : before.empty() ? folder.ends_with("/buildkit")
                                    : before.ends_with(':'));
}

}  // namespace builder::adapters::host
