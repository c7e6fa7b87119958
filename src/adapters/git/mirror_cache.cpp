#include "adapters/git/mirror_cache.hpp"

#include "adapters/git/mirror.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <vector>

namespace builder::adapters::git {

namespace {

struct Found {
  std::string folder;
  timespec used{};
  std::uint64_t bytes = 0;
};

std::uint64_t bytes_on_disk(const std::string& path) {
  constexpr std::uint64_t k_block = 512;  // Of st_blocks, whatever the file system's own.
  struct stat status{};
  return ::lstat(path.c_str(), &status) == 0
             ? static_cast<std::uint64_t>(status.st_blocks) * k_block
             : 0;
}

std::uint64_t bytes_below(const std::string& folder, const std::stop_token& stop) {
  std::uint64_t bytes = bytes_on_disk(folder);
  std::error_code error;
  // Files come and go under builds: what is missed is counted the next time.
  for (std::filesystem::recursive_directory_iterator at(folder, error), end;
       !error && at != end && !stop.stop_requested(); at.increment(error)) {
    bytes += bytes_on_disk(at->path().string());
  }
  return bytes;
}

std::vector<Found> find_mirrors(const std::string& work_dir, const std::stop_token& stop) {
  std::vector<Found> mirrors;
  std::error_code error;
  for (std::filesystem::directory_iterator at(work_dir + "/mirrors", error), end;
       !error && at != end && !stop.stop_requested(); at.increment(error)) {
    std::error_code unseen;
    if (at->symlink_status(unseen).type() == std::filesystem::file_type::directory) {
      const std::string folder = at->path().string();
      mirrors.push_back({.folder = folder,
                         .used = Mirror::last_used(folder),
                         .bytes = bytes_below(folder, stop)});
    }
  }
  return mirrors;
}

}  // namespace

SweptMirrors sweep_mirrors(const std::string& work_dir, std::uint64_t budget,
                           std::uint64_t must_free, const std::stop_token& stop) {
  std::vector<Found> mirrors = find_mirrors(work_dir, stop);
  std::ranges::sort(mirrors, [](const Found& a, const Found& b) {
    return std::pair(a.used.tv_sec, a.used.tv_nsec) < std::pair(b.used.tv_sec, b.used.tv_nsec);
  });
  SweptMirrors swept;
  for (const Found& mirror : mirrors) {
    swept.kept += mirror.bytes;
  }
  for (const Found& mirror : mirrors) {
    if (stop.stop_requested() || (swept.kept <= budget && swept.freed >= must_free)) {
      break;
    }
    if (Mirror::remove_unused(mirror.folder)) {
      swept.kept -= mirror.bytes;
      swept.freed += mirror.bytes;
      ++swept.removed;
    }
  }
  return swept;
}

}  // namespace builder::adapters::git
