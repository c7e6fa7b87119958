#pragma once

#include "adapters/git/disk_tree.hpp"
#include "adapters/git/git_process.hpp"
#include "base/fd.hpp"

#include <string>
#include <vector>

namespace builder::adapters::git {

/// One entry of a commit's tree.
struct TreeEntry {
  std::string mode;    ///< 100644, 100755, 120000, 160000 (a submodule).
  std::string object;  ///< Blob id, or the submodule's commit.
  std::string path;
};

/// What is at hand of one repository: a bare mirror that every fetch adds to. Locked against other
/// builds of the service as long as the object lives: a thread that holds one must not open another
/// of the same URL (a repository may be its own submodule).
class Mirror {
 public:
  /// Makes the mirror when there is none yet, when it has collected too many files, or when `anew`;
  /// waits for its lock.
  static Result<Mirror> open(const std::string& folder, const GitProcess& git,
                             const ports::JobContext& job, bool anew);

  /// Makes sure of a commit: full or short SHA, or empty for the head of the branch. Goes to the
  /// network only when needed, and asks for as little as the server permits. The full SHA.
  Result<std::string> ensure(const ports::JobContext& job, const std::string& url,
                             const std::string& branch, const std::string& commit,
                             const Access& access) const;

  Result<std::vector<TreeEntry>> list(const ports::JobContext& job,
                                      const std::string& commit) const;
  Result<std::string> subject(const ports::JobContext& job, const std::string& commit) const;
  /// The content of `git config --list --null` for a blob in its format.
  Result<std::string> config_of(const ports::JobContext& job, const std::string& object) const;
  /// The contents of several blobs, one after the other with git's lines between them.
  Result<std::string> blobs(const ports::JobContext& job,
                            const std::vector<std::string>& objects) const;
  /// Writes the commit's files into an empty folder.
  Result<> check_out(const ports::JobContext& job, const std::string& commit,
                     const std::string& folder, const std::string& index_file,
                     const GitProcess::Options& extra) const;
  /// The commit and all it needs were seen to be here: `ensure` need not ask for it again.
  void remember(const std::string& commit) const;

  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  Mirror(std::string folder, Fd lock, const GitProcess& git)
      : folder_(std::move(folder)), lock_(std::move(lock)), git_(git) {}

  [[nodiscard]] bool has(const ports::JobContext& job, const std::string& commit) const;
  Result<std::string> fetch_head(const ports::JobContext& job, const std::string& url,
                                 const std::string& what, bool shallow, const Access& access) const;
  Result<> fetch_everything(const ports::JobContext& job, const std::string& url,
                            const Access& access) const;
  Result<std::string> git(const ports::JobContext& job, const std::vector<std::string>& arguments,
                          const Access* access = nullptr) const;

  std::string folder_;
  Fd lock_;
  const GitProcess& git_;
};

}  // namespace builder::adapters::git
