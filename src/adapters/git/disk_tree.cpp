#include "adapters/git/disk_tree.hpp"

#include "base/fd.hpp"
#include "ports/source_path.hpp"

#include <fmt/format.h>

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

namespace builder::adapters::git {

namespace {

using ports::DirectoryEntry;
using ports::FileInfo;
using ports::FileReader;
using ports::FileType;

struct DirCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

class FileOnDisk final : public FileReader {
 public:
  FileOnDisk(Fd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<std::size_t> read(std::span<std::byte> buffer) override {
    for (;;) {
      const ssize_t count = ::read(fd_.get(), buffer.data(), buffer.size());
      if (count >= 0) {
        return static_cast<std::size_t>(count);
      }
      if (errno != EINTR) {
        return errno_failure("read " + path_);
      }
    }
  }

 private:
  Fd fd_;
  std::string path_;
};

class DiskTree final : public ports::SourceTree {
 public:
  /// `folder` absent: it is a person's own.
  DiskTree(std::optional<TempDir> folder, Fd root, Identities identities)
      : folder_(std::move(folder)), root_(std::move(root)), identities_(std::move(identities)) {
    for (const auto& [path, content] : identities_) {
      std::string_view below = path;
      // Up to a folder whose own name is known already.
      while (
          !below.empty() &&
          children_[std::string(ports::folder_of(below))].emplace(ports::name_of(below)).second) {
        below = ports::folder_of(below);
      }
    }
  }

  Result<std::vector<DirectoryEntry>> list(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(Fd fd, open_below(path, O_RDONLY | O_DIRECTORY));
    const int raw = fd.release();
    const std::unique_ptr<DIR, DirCloser> directory(::fdopendir(raw));
    if (directory == nullptr) {
      ::close(raw);
      return errno_failure("list " + std::string(path));
    }
    std::vector<DirectoryEntry> entries;
    if (!folder_ &&
        std::ranges::count(path, '/') >= static_cast<std::ptrdiff_t>(k_deepest_folder)) {
      return failure(ErrorKind::invalid_input, fmt::format("{} lies deeper than {} folders",
                                                           path.substr(0, 200), k_deepest_folder));
    }
    while (const dirent* entry = ::readdir(directory.get())) {
      std::string name = entry->d_name;
      if (name == "." || name == ".." || name == ".git") {
        continue;
      }
      struct stat status{};
      if (::fstatat(::dirfd(directory.get()), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (!folder_) {
          continue;  // People and their editors remove files all the time.
        }
        return gone(ports::path_in(path, name));
      }
      if (!folder_ && entries.size() >= k_most_entries) {
        return failure(ErrorKind::invalid_input,
                       fmt::format("'{}' holds more than {} files", path, k_most_entries));
      }
      const std::string full = ports::path_in(path, name);
      entries.push_back({std::move(name), info(full, status)});
    }
    std::ranges::sort(entries, {}, &DirectoryEntry::name);
    if (const auto known = children_.find(std::string(path)); known != children_.end()) {
      for (const std::string& name : known->second) {
        if (!std::ranges::binary_search(entries, name, {}, &DirectoryEntry::name)) {
          return gone(ports::path_in(path, name));
        }
      }
    }
    return entries;
  }

  Result<FileInfo> stat(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const Fd fd, open_below(path, O_PATH | O_NOFOLLOW));
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0) {
      return errno_failure("stat " + std::string(path));
    }
    return info(std::string(path), status);
  }

  Result<std::unique_ptr<FileReader>> open(std::string_view path) const override {
    // O_NONBLOCK: opening a fifo must not wait for a writer.
    BUILDER_TRY_ASSIGN(Fd fd, open_below(path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0) {
      return errno_failure("stat " + std::string(path));
    }
    if (!S_ISREG(status.st_mode)) {
      return failure(ErrorKind::invalid_input, std::string(path) + " is not a regular file");
    }
    return std::make_unique<FileOnDisk>(std::move(fd), std::string(path));
  }

  Result<std::string> read_link(std::string_view path) const override {
    BUILDER_TRY_ASSIGN(const Fd fd, open_below(path, O_PATH | O_NOFOLLOW));
    std::array<char, 4096> target{};
    const ssize_t size = ::readlinkat(fd.get(), "", target.data(), target.size());
    if (size < 0) {
      return failure(ErrorKind::invalid_input, std::string(path) + " is not a symlink");
    }
    return std::string(target.data(), static_cast<std::size_t>(size));
  }

 private:
  /// Others may empty the folder at any time: an image must not be made of what is left.
  static std::unexpected<Error> gone(const std::string& path) {
    return std::unexpected(
        Error{.kind = ErrorKind::unavailable,
              .message = path + " was removed from the work tree (WORK_DIR)",
              .customer = "The builder's copy of the repository was damaged or removed"});
  }

  Result<Fd> open_below(std::string_view path, int flags) const {
    if (std::string_view("/" + std::string(path) + "/").contains("/.git/")) {
      return failure(ErrorKind::not_found, "no " + std::string(path));
    }
    open_how how{};
    how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags)) | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    const std::string name = path.empty() ? "." : std::string(path);
    // EAGAIN: a rename somewhere on the system raced with the walk.
    for (;;) {
      const long fd = ::syscall(SYS_openat2, root_.get(), name.c_str(), &how, sizeof how);
      if (fd >= 0) {
        return Fd(static_cast<int>(fd));
      }
      if (errno == ENXIO) {
        return failure(ErrorKind::invalid_input, name + " is a socket");
      }
      if (errno == ENOENT &&
          (identities_.contains(name) || children_.contains(std::string(path)))) {
        return gone(name);
      }
      if (errno != EAGAIN && errno != EINTR) {
        return errno_failure("open " + name);
      }
    }
  }

  /// The seconds are the file's own. The nanoseconds, which no image keeps, stand for all that
  /// changes when somebody writes it: a tool may set a file's time, but not its inode's.
  static std::int64_t own_time(const struct stat& status) {
    constexpr std::int64_t k_second = 1'000'000'000;
    const auto identity = ports::content_time(ports::content_id(
        fmt::format("{} {}.{} {} {}", status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
                    status.st_ctim.tv_nsec, status.st_ino, status.st_size)));
    return status.st_mtim.tv_sec * k_second + identity % k_second;
  }

  FileInfo info(const std::string& path, const struct stat& status) const {
    FileInfo info;
    info.type = S_ISREG(status.st_mode)   ? FileType::regular
                : S_ISDIR(status.st_mode) ? FileType::directory
                : S_ISLNK(status.st_mode) ? FileType::symlink
                                          : FileType::other;
    info.permissions = status.st_mode & 07777u;
    if (info.type == FileType::regular) {
      // As git knows it: whatever the umask was.
      info.permissions = (status.st_mode & 0100u) != 0 ? 0755 : 0644;
    } else if (info.type == FileType::directory) {
      info.permissions = 0755;
    }
    if (!folder_) {
      info.modified = own_time(status);
    }
    info.size = info.type == FileType::directory ? 0 : static_cast<std::uint64_t>(status.st_size);
    const auto identity = identities_.find(path);
    if (identity != identities_.end()) {
      info.content = identity->second;
    } else if (info.type != FileType::directory) {
      // Nobody knows what it holds: another content with every checkout.
      info.content = ports::content_id(std::to_string(status.st_mtim.tv_sec) + " " +
                                       std::to_string(status.st_mtim.tv_nsec) + " " +
                                       std::to_string(status.st_ino));
    }
    return info;
  }

  std::optional<TempDir> folder_;  // Removed after the root is closed.
  Fd root_;
  Identities identities_;
  std::unordered_map<std::string, std::set<std::string>> children_;  ///< By folder.
};

/// What is reached below `root` without any symlink.
Fd open_plain(const std::string& root, const std::string& path, int flags) {
  const Fd top(::open(root.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  open_how how{};
  how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags)) | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return Fd(static_cast<int>(::syscall(SYS_openat2, top.get(), path.c_str(), &how, sizeof how)));
}

}  // namespace

Result<std::shared_ptr<const ports::SourceTree>> make_disk_tree(TempDir folder,
                                                                const std::string& root,
                                                                Identities identities) {
  Fd fd(::open(root.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) {
    return errno_failure("open the work tree");
  }
  return std::make_shared<DiskTree>(std::move(folder), std::move(fd), std::move(identities));
}

Result<std::shared_ptr<const ports::SourceTree>> make_folder_tree(const std::string& root) {
  Fd fd(::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return errno_failure("open " + root);
  }
  return std::make_shared<DiskTree>(std::nullopt, std::move(fd), Identities());
}

Result<> replace_content(const std::string& root, const std::string& path,
                         const std::string& source) {
  const Fd from(::open(source.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!from) {
    return errno_failure("open " + source);
  }
  const Fd to = open_plain(root, path, O_WRONLY | O_TRUNC | O_NOFOLLOW);
  struct stat status{};
  if (!to || ::fstat(from.get(), &status) != 0) {
    return errno_failure("write " + path);
  }
  for (off_t done = 0; done < status.st_size;) {
    const ssize_t count =
        ::sendfile(to.get(), from.get(), &done, static_cast<std::size_t>(status.st_size - done));
    if (count <= 0 && errno != EINTR) {
      return errno_failure("write " + path);
    }
  }
  return {};
}

bool is_plain_folder(const std::string& root, const std::string& path) {
  return static_cast<bool>(open_plain(root, path, O_PATH | O_DIRECTORY | O_NOFOLLOW));
}

}  // namespace builder::adapters::git
