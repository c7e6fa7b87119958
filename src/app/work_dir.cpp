#include "app/work_dir.hpp"

#include "base/temp_dir.hpp"
#include "base/text.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

namespace builder::app {

namespace {

Result<Fd> open_lock(const std::string& path) {
  Fd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) {
    return errno_failure("WORK_DIR: open " + path);
  }
  return lock;
}

bool has_journal(const std::string& folder) {
  std::error_code error;
  return std::filesystem::exists(folder + "/jobs", error);
}

std::vector<std::string> lines_of(const std::string& path) {
  std::vector<std::string> lines;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) {
      lines.push_back(line);
    }
  }
  return lines;
}

/// Folders of processes that have died. None begins meanwhile: the caller holds the lock for that,
/// so that a folder without one of its own is a dead process's as well.
std::vector<std::string> ended_processes(const std::string& processes) {
  std::vector<std::string> ended;
  std::error_code error;
  for (std::filesystem::directory_iterator at(processes, error), end; !error && at != end;
       at.increment(error)) {
    const std::string folder = at->path().string();
    std::error_code unknown;
    if (!at->is_directory(unknown)) {
      continue;
    }
    const Fd lock(::open((folder + "/lock").c_str(), O_RDWR | O_CLOEXEC));
    if (!lock || ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) {
      ended.push_back(folder);
    }
  }
  return ended;
}

}  // namespace

Result<WorkDir> WorkDir::open(const std::string& configured, std::string worker_id) {
  WorkDir work;
  // git runs in other folders: a relative path would not reach it.
  work.path_ = std::filesystem::absolute(configured).lexically_normal().string();
  while (work.path_.size() > 1 && work.path_.ends_with('/')) {
    work.path_.pop_back();
  }
  const std::string processes = work.path_ + "/processes";
  if (auto made = make_directories(processes); !made) {
    return std::unexpected(std::move(made).error().with_context("WORK_DIR"));
  }
  // Version 1.0 locks this for itself alone, and removes work trees that are not its own.
  BUILDER_TRY_ASSIGN(work.shared_lock_, open_lock(work.path_ + "/lock"));
  if (::flock(work.shared_lock_.get(), LOCK_SH | LOCK_NB) != 0) {
    return failure(ErrorKind::conflict,
                   "WORK_DIR " + work.path_ + " is in use by version 1.0 of the worker");
  }
  work.old_worker_id_ = std::move(worker_id);
  if (work.old_worker_id_.empty()) {
    std::ifstream(work.path_ + "/worker-id") >> work.old_worker_id_;
  }

  // One process at a time looks around and makes its own folder.
  BUILDER_TRY_ASSIGN(const Fd starting, open_lock(processes + "/lock"));
  if (::flock(starting.get(), LOCK_EX) != 0) {
    return errno_failure("WORK_DIR: lock " + processes);
  }
  work.ended_folders_ = ended_processes(processes);
  for (const std::string& folder : work.ended_folders_) {
    std::ranges::move(lines_of(folder + "/epochs"), std::back_inserter(work.ended_epochs_));
    BUILDER_TRY(remove_tree(folder + "/builds"));
  }
  work.own_ = processes + "/" + random_hex(8);
  BUILDER_TRY(make_directories(work.builds()));
  BUILDER_TRY_ASSIGN(work.own_lock_, open_lock(work.own_ + "/lock"));
  if (::flock(work.own_lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    return errno_failure("WORK_DIR: lock " + work.own_);
  }
  return work;
}

void WorkDir::remove_orphans() const {
  const std::string processes = path_ + "/processes";
  const auto starting = open_lock(processes + "/lock");
  if (!starting || ::flock(starting->get(), LOCK_EX | LOCK_NB) != 0) {
    return;
  }
  for (const std::string& folder : ended_processes(processes)) {
    [[maybe_unused]] const auto removed = remove_tree(folder + "/builds");
  }
}

WorkDir::~WorkDir() {
  if (own_lock_ && !has_journal(own_)) {
    [[maybe_unused]] const auto removed = remove_tree(own_);  // The next process tries again.
  }
}

std::vector<std::string> WorkDir::ended_journals() const {
  std::vector<std::string> journals;
  for (const std::string& folder : ended_folders_) {
    if (has_journal(folder)) {
      journals.push_back(folder + "/jobs");
    }
  }
  return journals;
}

void WorkDir::forget_ended() {
  for (const std::string& folder : std::exchange(ended_folders_, {})) {
    if (!has_journal(folder)) {
      [[maybe_unused]] const auto removed = remove_tree(folder);  // The next process tries again.
    }
  }
}

void WorkDir::remember_epoch(const std::string& epoch) const {
  const Fd file(
      ::open((own_ + "/epochs").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  const std::string line = epoch + "\n";
  // Without it the jobs of a dead process come back when its lease ends, not at the next start.
  if (file && ::write(file.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size())) {
    ::fsync(file.get());
  }
}

}  // namespace builder::app
