#pragma once

#include "adapters/git/git_process.hpp"
#include "base/subprocess.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::git {

/// Objects of one repository, read through a `git cat-file --batch-command` that stays: asking it
/// costs no process, and it sees what a fetch adds while it runs. Errors are `internal` when the
/// repository lacks an object or is damaged. Used by one thread at a time.
///
/// Source of the protocol: git-cat-file(1), BATCH OUTPUT.
class ObjectReader {
 public:
  static Result<ObjectReader> start(const GitProcess& git, const std::string& git_dir);

  /// The contents of objects of one type ("commit", "tree", "blob") and at most 64 MiB each, in the
  /// order asked for.
  Result<std::vector<std::string>> contents(const ports::JobContext& job,
                                            std::span<const std::string> objects,
                                            std::string_view type);
  /// The commit that an id stands for: its own, or that of a tag. `invalid_input` with the
  /// customer's line when it is neither.
  Result<std::string> commit_of(const ports::JobContext& job, const std::string& id);
  /// Their sizes in bytes.
  Result<std::vector<std::uint64_t>> sizes(const ports::JobContext& job,
                                           std::span<const std::string> objects,
                                           std::string_view type);

 private:
  explicit ObjectReader(Coprocess git) : git_(std::move(git)) {}

  Result<> ask(const ports::JobContext& job, std::string_view command,
               std::span<const std::string> objects);
  /// The next line of the answer.
  Result<std::string> line(const ports::JobContext& job);
  /// The size of the next object of the answer, behind which its content may follow.
  Result<std::uint64_t> header(const ports::JobContext& job, const std::string& object,
                               std::string_view type);
  Result<std::string> body(const ports::JobContext& job, std::uint64_t size);
  Result<> more(const ports::JobContext& job);

  Coprocess git_;
  std::string received_;
  std::size_t used_ = 0;  ///< Of `received_`.
};

}  // namespace builder::adapters::git
