#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"
#include "ports/job_queue.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace builder::adapters::redis {

/// What a process has taken from the queue and not ended, in a file that outlives it: ids, and of
/// what has ended the status the platform did not get yet. Every line is on disk before the call
/// returns. Not thread-safe.
class JobJournal {
 public:
  /// By deployment: how it ended, if it did.
  using Open = std::map<std::string, std::optional<ports::Ending>>;

  explicit JobJournal(std::string path) : path_(std::move(path)) {}

  Result<> taken(const std::string& id);
  Result<> ended(const std::string& id, const ports::Ending& ending);
  /// Delivered, or back in the queue.
  Result<> over(const std::string& id);

  [[nodiscard]] const Open& open() const { return open_; }

  /// Removes the file if nothing is open.
  void close();

  /// What a process that is gone left open.
  static Open read(const std::string& path);

 private:
  Result<> append(const std::string& line);
  Result<> rewrite();

  const std::string path_;
  Fd file_;
  std::size_t size_ = 0;
  Open open_;
};

}  // namespace builder::adapters::redis
