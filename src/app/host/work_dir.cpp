#include "app/host/work_dir.hpp"

#include "base/file_lock.hpp"
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

bool is_locked(const std::string& path, int flags) {
  const Fd lock(::open(path.c_str(), flags | O_CLOEXEC));
  return lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0;
}

/// Only one process at a time looks around, or makes its own folder.
Result<Fd> lock_processes(const std::string& processes) {
  for (;;) {
    BUILDER_TRY_ASSIGN(Fd lock, open_lock(processes + "/lock"));
    if (::flock(lock.get(), LOCK_EX) != 0) {
      return errno_failure("lock " + processes);
    }
    if (is_still_at(lock, processes + "/lock")) {
      return lock;
    }
  }
}

/// Folders of processes that have died. None begins meanwhile: the caller holds the lock for that.
/// A live one has its folder locked, and a file in it, which others may remove; versions before
/// had only the file.
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
    if (!is_locked(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW) &&
        !is_locked(folder + "/lock", O_RDWR | O_NOFOLLOW)) {
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
  work.own_ = work.processes() + "/" + random_hex(8);
  if (auto made = work.hold_shared(); !made) {
    return std::unexpected(std::move(made).error().with_context("WORK_DIR"));
  }
  work.old_worker_id_ = std::move(worker_id);
  if (work.old_worker_id_.empty()) {
    std::ifstream(work.path_ + "/worker-id") >> work.old_worker_id_;
  }
  BUILDER_TRY_ASSIGN(const Fd starting, lock_processes(work.processes()));
  work.ended_folders_ = ended_processes(work.processes());
  for (const std::string& folder : work.ended_folders_) {
    std::ranges::move(lines_of(folder + "/leases"), std::back_inserter(work.ended_leases_));
    BUILDER_TRY(remove_tree(folder + "/builds"));
  }
  if (auto made = work.hold_own(); !made) {
    return std::unexpected(std::move(made).error().with_context("WORK_DIR"));
  }
  return work;
}

Result<bool> WorkDir::ensure() {
  const std::scoped_lock lock(*mutex_);
  if (is_whole()) {
    return false;
  }
  const auto make = [&]() -> Result<> {
    BUILDER_TRY(hold_shared());
    BUILDER_TRY_ASSIGN(const Fd starting, lock_processes(processes()));
    return hold_own();
  };
  if (auto made = make(); !made) {
    Error error = std::move(made).error();
    error.kind = ErrorKind::unavailable;
    return std::unexpected(std::move(error).with_context("WORK_DIR"));
  }
  return true;
}

bool WorkDir::is_whole() const {
  std::error_code error;
  return is_still_at(own_folder_, own_) && is_still_at(own_lock_, own_ + "/lock") &&
         is_still_at(shared_lock_, path_ + "/lock") && is_still_at(folder_, path_) &&
         std::filesystem::is_directory(builds(), error) &&
         (leases_.empty() || std::filesystem::exists(own_ + "/leases", error));
}

/// What all processes have locked together.
Result<> WorkDir::hold_shared() {
  BUILDER_TRY(make_directories(processes()));
  if (!is_still_at(folder_, path_)) {
    Fd folder(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // systemd-tmpfiles passes over a folder that is locked. Whoever else has locked it may.
    if (folder) {
      [[maybe_unused]] const int ignored = ::flock(folder.get(), LOCK_SH | LOCK_NB);
    }
    folder_ = std::move(folder);
  }
  if (!is_still_at(shared_lock_, path_ + "/lock")) {
    // Version 1.0 locks this for itself alone, and removes work trees that are not its own.
    BUILDER_TRY_ASSIGN(Fd lock, open_lock(path_ + "/lock"));
    if (::flock(lock.get(), LOCK_SH | LOCK_NB) != 0) {
      return failure(ErrorKind::conflict, path_ + " is in use by version 1.0 of the worker");
    }
    shared_lock_ = std::move(lock);
  }
  return {};
}

/// The folder of this process. Nobody looks around meanwhile.
Result<> WorkDir::hold_own() {
  BUILDER_TRY(make_directories(builds()));
  const auto hold = [](Fd& held, Fd lock, const std::string& path) -> Result<> {
    if (!lock || (!is_still_at(held, path) && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)) {
      return errno_failure("lock " + path);
    }
    if (!is_still_at(held, path)) {
      held = std::move(lock);
    }
    return {};
  };
  BUILDER_TRY(
      hold(own_folder_, Fd(::open(own_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)), own_));
  BUILDER_TRY_ASSIGN(Fd lock, open_lock(own_ + "/lock"));
  BUILDER_TRY(hold(own_lock_, std::move(lock), own_ + "/lock"));
  std::error_code error;
  if (!leases_.empty() && !std::filesystem::exists(own_ + "/leases", error)) {
    append_leases(leases_);
  }
  return {};
}

void WorkDir::remove_orphans() const {
  const auto starting = lock_processes(processes());
  if (!starting) {
    return;
  }
  for (const std::string& folder : ended_processes(processes())) {
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

void WorkDir::remember_lease(const std::string& lease_id) {
  const std::scoped_lock lock(*mutex_);
  leases_.push_back(lease_id);
  append_leases({lease_id});
}

void WorkDir::append_leases(const std::vector<std::string>& leases) const {
  const Fd file(
      ::open((own_ + "/leases").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  std::string lines;
  for (const std::string& lease_id : leases) {
    lines += lease_id + "\n";
  }
  // Without it the jobs of a dead process come back when its lease ends, not at the next start.
  if (file &&
      ::write(file.get(), lines.data(), lines.size()) == static_cast<ssize_t>(lines.size())) {
    ::fsync(file.get());
  }
}

Result<> ensure(WorkDir& work, const Log& log) {
  BUILDER_TRY_ASSIGN(const bool made, work.ensure());
  if (made) {
    log.warning("WORK_DIR {} was emptied while it is in use; it is made again", work.path());
  }
  return {};
}

}  // namespace builder::app
