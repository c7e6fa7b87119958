#include "adapters/host/cgroup_tree.hpp"

#include "base/fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace builder::adapters::host {

namespace {

namespace fs = std::filesystem;

/// Of version 1, in which a build's group is made; the engine makes it in the others.
constexpr const char* k_controllers[] = {"memory", "cpu", "cpuacct", "pids"};

bool exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

std::vector<std::string> subfolders(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code unseen;
    if (at->symlink_status(unseen).type() == fs::file_type::directory) {
      found.push_back(at->path().string());
    }
  }
  return found;
}

/// Groups have no files that could be unlinked: only the folders count, innermost first.
bool remove_groups(const std::string& folder) {
  for (const std::string& inner : subfolders(folder)) {
    remove_groups(inner);
  }
  return ::rmdir(folder.c_str()) == 0 || errno == ENOENT;
}

}  // namespace

Result<> write_control(const std::string& path, std::string_view value) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), value.data(), value.size()) < 0) {
    return errno_failure("write " + path);
  }
  return {};
}

std::string read_control(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

CgroupTree::CgroupTree(std::string root)
    : root_(std::move(root)), v2_(exists(root_ + "/cgroup.controllers")) {
  for (const std::string& folder : subfolders(root_)) {
    if (exists(folder + "/cgroup.procs")) {
      hierarchies_.push_back(folder);
    }
  }
}

std::string CgroupTree::hierarchy(std::string_view controller) const {
  return v2_ ? root_ : root_ + "/" + std::string(controller);
}

std::string CgroupTree::file(std::string_view controller, const std::string& group,
                             std::string_view name) const {
  return hierarchy(controller) + group + "/" + std::string(name);
}

std::string CgroupTree::folder(const std::string& group) const {
  return hierarchy("memory") + group;
}

Result<> CgroupTree::make(const std::string& group) const {
  for (const char* controller : k_controllers) {
    const std::string folder = hierarchy(controller) + group;
    if (!exists(hierarchy(controller) + "/cgroup.procs")) {
      return failure(ErrorKind::not_found, std::string("this machine has no control groups for ") +
                                               controller + " in " + root_);
    }
    std::error_code error;
    fs::create_directories(folder, error);
    if (error) {
      return failure(ErrorKind::denied, "make " + folder + ": " + error.message());
    }
  }
  return {};
}

bool CgroupTree::remove(const std::string& group) const {
  bool gone = true;
  for (const std::string& root : v2_ ? std::vector{root_} : hierarchies_) {
    gone = remove_groups(root + group) && gone;
  }
  return gone;
}

Result<> CgroupTree::delegate(const std::string& group) const {
  return v2_ ? write_control(root_ + group + "/cgroup.subtree_control", "+memory +cpu +pids")
             : Result<>();
}

std::vector<std::string> CgroupTree::below(const std::string& group) const {
  std::vector<std::string> names;
  for (const std::string& path : subfolders(folder(group))) {
    names.push_back(fs::path(path).filename().string());
  }
  return names;
}

}  // namespace builder::adapters::host
