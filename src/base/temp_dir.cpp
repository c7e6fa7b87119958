#include "base/temp_dir.hpp"

#include "base/fd.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace builder {

namespace {

struct DirCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

/// Deeper folders are moved up to the top first: every open level costs a descriptor, and a hostile
/// tree may be thousands deep.
constexpr std::size_t k_deepest = 32;

/// Best effort: if it fails, the removal behind it does, and says so.
void make_writable(int parent, const std::string& name) {
  [[maybe_unused]] const int ignored = ::fchmodat(parent, name.c_str(), 0700, 0);
}

void make_writable(int folder) {
  [[maybe_unused]] const int ignored = ::fchmod(folder, 0700);
}

/// Empties the folder behind `fd`. An explicit stack instead of recursion. Each level is reached by
/// name below an open parent, so a link is never followed.
void empty_folder(Fd top) {
  struct Level {
    std::unique_ptr<DIR, DirCloser> directory;
    std::string name;  ///< In the parent.
  };

  std::vector<Level> levels;
  DIR* first = ::fdopendir(top.get());
  if (first == nullptr) {
    return;
  }
  [[maybe_unused]] const int owned_by_dir = top.release();
  ::fchmod(::dirfd(first), 0700);
  levels.push_back({std::unique_ptr<DIR, DirCloser>(first), ""});
  unsigned moved_up = 0;
  bool again = false;
  while (!levels.empty()) {
    DIR* directory = levels.back().directory.get();
    const int fd = ::dirfd(directory);
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) {
      if (levels.size() == 1 && std::exchange(again, false)) {
        ::rewinddir(directory);
        continue;
      }
      const std::string name = std::move(levels.back().name);
      levels.pop_back();
      if (!levels.empty()) {
        ::unlinkat(::dirfd(levels.back().directory.get()), name.c_str(), AT_REMOVEDIR);
      }
      continue;
    }
    const std::string name = entry->d_name;
    if (name == "." || name == "..") {
      continue;
    }
    if (::unlinkat(fd, name.c_str(), 0) == 0 ||
        (errno != EISDIR && errno != EPERM && errno != EACCES)) {
      continue;
    }
    if (levels.size() >= k_deepest) {
      // Moving a folder changes its "..": it must be writable.
      make_writable(fd, name);
      const std::string up = ".removed-" + std::to_string(moved_up++);
      if (::renameat(fd, name.c_str(), ::dirfd(levels.front().directory.get()), up.c_str()) == 0) {
        again = true;
        continue;
      }
    }
    int below = ::openat(fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0 && errno == EACCES) {
      make_writable(fd, name);
      below = ::openat(fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    }
    if (below < 0) {
      continue;
    }
    make_writable(below);
    DIR* next = ::fdopendir(below);
    if (next == nullptr) {
      ::close(below);
      continue;
    }
    levels.push_back({std::unique_ptr<DIR, DirCloser>(next), name});
  }
}

}  // namespace

Result<> remove_tree(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd) {
    empty_folder(std::move(fd));
    if (::rmdir(path.c_str()) != 0 && errno != ENOENT) {
      return errno_failure("remove " + path);
    }
    return {};
  }
  if (errno == ENOENT) {
    return {};
  }
  return errno_failure("open " + path);
}

Result<> make_directories(const std::string& path) {
  for (std::size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    const std::string part = path.substr(0, slash);
    if (::mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      return errno_failure("make folder " + part);
    }
    if (slash == std::string::npos) {
      return {};
    }
  }
}

Result<TempDir> TempDir::make(const std::string& parent, const std::string& prefix) {
  std::string path = parent + "/" + prefix + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) {
    return errno_failure("make a folder in " + parent);
  }
  return TempDir(std::move(path));
}

TempDir::TempDir(TempDir&& other) noexcept : path_(std::exchange(other.path_, {})) {
}

TempDir& TempDir::operator=(TempDir&& other) noexcept {
  std::swap(path_, other.path_);
  return *this;
}

TempDir::~TempDir() {
  if (!path_.empty()) {
    // What cannot be removed now is removed at the next start.
    [[maybe_unused]] const Result<> removed = remove_tree(path_);
  }
}

}  // namespace builder
