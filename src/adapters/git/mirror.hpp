#pragma once

#include "adapters/git/git_process.hpp"
#include "base/fd.hpp"

#include <ctime>
#include <string>
#include <utility>
#include <vector>

namespace builder::adapters::git {

/// Keeps a mirror's objects where they are; any number at a time, and no hindrance to fetches.
class MirrorUse {
 public:
  MirrorUse(std::string folder, Fd lock) : folder_(std::move(folder)), lock_(std::move(lock)) {}

  [[nodiscard]] const std::string& folder() const { return folder_; }

  /// The mirror turned out to be damaged: the next one who opens it makes it anew.
  void condemn() const;

 private:
  std::string folder_;
  Fd lock_;
};

/// What names of objects are made of.
enum class ObjectFormat { sha1, sha256 };

/// Whether a command failed since the server's repository has another format than the mirror.
bool is_of_other_format(const Error& error);

/// What is at hand of one repository: a bare mirror that every fetch adds to. Locked against other
/// builds of the service as long as the object lives: a thread that holds one must not open another
/// of the same URL (a repository may be its own submodule).
class Mirror {
 public:
  /// How to open one.
  struct Opening {
    std::string folder;
    bool anew = false;
    bool other_format = false;  ///< Than it had. The first one is made for SHA-1.
  };

  /// Makes the mirror when there is none yet, when it has collected too many files, or when `anew`;
  /// waits for its lock. `events` gets what git warns about.
  static Result<Mirror> open(const Opening& opening, const GitProcess& git,
                             const ports::JobContext& job, domain::EventSink& events);

  /// When a build last opened it.
  static timespec last_used(const std::string& folder);
  /// Whether it was removed: not while anybody has it open or uses its objects.
  static bool remove_unused(const std::string& folder);

  /// Makes sure of a commit: full or short SHA, or empty for the head of the branch, or else for
  /// the tag of that name. Goes to the network only when needed, and asks for as little as the
  /// server permits. The full SHA of the commit, or of a tag of it.
  Result<std::string> ensure(const ports::JobContext& job, const std::string& url,
                             const std::string& branch, const std::string& commit,
                             const Access& access) const;

  /// The content of `git config --list --null` for a blob in its format.
  Result<std::string> config_of(const ports::JobContext& job, const std::string& object) const;

  /// Where a commit is written out.
  struct WorkTree {
    std::string folder;
    std::string index_file;
  };

  /// Writes the commit's files into an empty folder.
  Result<> check_out(const ports::JobContext& job, const std::string& commit,
                     const WorkTree& tree) const;
  /// What `git ls-files -z` says about a checked out commit.
  Result<std::vector<std::string>> list_files(const ports::JobContext& job, const WorkTree& tree,
                                              const std::vector<std::string>& selection) const;
  /// The commit and all it needs were seen to be here: `ensure` need not ask for it again.
  void remember(const std::string& commit) const;

  /// Outlives the lock of this object.
  [[nodiscard]] Result<MirrorUse> use() const;

  [[nodiscard]] const std::string& folder() const { return folder_; }

 private:
  Mirror(std::string folder, Fd lock, const GitProcess& git, domain::EventSink& events)
      : folder_(std::move(folder)),
        lock_(std::move(lock)),
        git_(git),
        events_(events),
        format_(format_of(folder_)) {}

  [[nodiscard]] GitProcess::Options in(const WorkTree& tree) const;
  static ObjectFormat format_of(const std::string& folder);
  [[nodiscard]] bool is_full(const std::string& commit) const;

  /// One attempt to make sure of a commit.
  Result<std::string> find(const ports::JobContext& job, const std::string& url,
                           const std::string& commit, const Access& access) const;
  Result<std::string> find_branch(const ports::JobContext& job, const std::string& url,
                                  const std::string& branch, const Access& access) const;
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
  domain::EventSink& events_;
  ObjectFormat format_;
};

}  // namespace builder::adapters::git
