#pragma once

#include "base/fd.hpp"
#include "base/log.hpp"
#include "base/result.hpp"

#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace builder::app {

/// WORK_DIR: what every process of this host shares (mirrors), and below `processes/` one folder
/// for each process, locked as long as it lives. So a new process may start while the old one
/// drains, and can tell what a dead one left. Others may empty it at any time (`ensure`).
class WorkDir {
 public:
  /// `worker_id`: the configured one; empty: the one kept in the folder, if any.
  static Result<WorkDir> open(const std::string& configured, std::string worker_id);
  WorkDir(WorkDir&&) = default;
  WorkDir& operator=(WorkDir&&) = default;
  WorkDir(const WorkDir&) = delete;
  WorkDir& operator=(const WorkDir&) = delete;
  /// Removes the folder of this process, unless a journal is left in it: it has ended in order.
  ~WorkDir();

  /// Makes again what was removed from outside, and says whether anything was. Any thread.
  Result<bool> ensure();

  [[nodiscard]] const std::string& path() const { return path_; }

  /// For the work trees of this process.
  [[nodiscard]] std::string builds() const { return own_ + "/builds"; }

  /// The name under which version 1.0 kept the jobs it had taken; empty when it never ran here.
  [[nodiscard]] const std::string& old_worker_id() const { return old_worker_id_; }

  /// Leases of processes that have ended without giving them up.
  [[nodiscard]] const std::vector<std::string>& ended_leases() const { return ended_leases_; }

  /// Where this process notes the jobs it has, should the queue need it to.
  [[nodiscard]] std::string journal() const { return own_ + "/jobs"; }

  /// Such files of processes that were lost. Their folders stay as long as they do.
  [[nodiscard]] std::vector<std::string> ended_journals() const;

  /// They are given up now.
  void forget_ended();
  /// Work trees of processes that have died since; their leases are left to the next start.
  void remove_orphans() const;
  /// On disk before the lease begins.
  void remember_lease(const std::string& lease_id);

 private:
  WorkDir() = default;

  [[nodiscard]] std::string processes() const { return path_ + "/processes"; }

  [[nodiscard]] bool is_whole() const;
  Result<> hold_shared();
  Result<> hold_own();
  void append_leases(const std::vector<std::string>& leases) const;

  std::string path_;
  std::string own_;
  std::string old_worker_id_;
  std::vector<std::string> ended_leases_;
  std::vector<std::string> ended_folders_;
  /// Guards what follows.
  std::unique_ptr<std::mutex> mutex_ = std::make_unique<std::mutex>();
  std::vector<std::string> leases_;
  Fd folder_;
  Fd shared_lock_;
  Fd own_folder_;
  Fd own_lock_;
};

/// The same; the log is told that somebody else has emptied it.
Result<> ensure(WorkDir& work, const Log& log);

}  // namespace builder::app
