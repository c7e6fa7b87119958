#include "adapters/redis/unleased/job_journal.hpp"

#include "adapters/redis/leased/outbox_entry.hpp"
#include "base/file_lock.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>

namespace builder::adapters::redis {

namespace {

/// Beyond this, what is over is thrown out.
constexpr std::size_t k_largest_journal = 1U << 20U;

std::string line_of(const std::string& id, const std::optional<ports::Ending>& ending) {
  return ending ? "ended " + id + " " + write_entry(*ending) + "\n" : "taken " + id + "\n";
}

}  // namespace

Result<> JobJournal::taken(const std::string& id) {
  BUILDER_TRY(append(line_of(id, std::nullopt)));
  open_.try_emplace(id);
  return {};
}

Result<> JobJournal::ended(const std::string& id, const ports::Ending& ending) {
  open_[id] = ending;
  return append(line_of(id, ending));
}

Result<> JobJournal::over(const std::string& id) {
  open_.erase(id);
  return size_ > k_largest_journal ? rewrite() : append("over " + id + "\n");
}

void JobJournal::close() {
  file_ = {};
  if (open_.empty()) {
    ::unlink(path_.c_str());
  }
}

Result<> JobJournal::append(const std::string& line) {
  if (file_ && !is_still_at(file_, path_)) {
    BUILDER_TRY(rewrite());  // Somebody has removed it.
  }
  if (!file_) {
    file_ = Fd(::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    const std::string folder = path_.substr(0, path_.rfind('/'));
    const Fd parent(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!file_ || !parent || ::fsync(parent.get()) != 0) {
      file_ = {};
      return errno_failure("WORK_DIR: create " + path_);
    }
  }
  if (::write(file_.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()) ||
      ::fdatasync(file_.get()) != 0) {
    auto failed = errno_failure("WORK_DIR: write " + path_);
    // Half a line must not spoil the next one.
    [[maybe_unused]] const int cut = ::ftruncate(file_.get(), static_cast<off_t>(size_));
    return failed;
  }
  size_ += line.size();
  return {};
}

Result<> JobJournal::rewrite() {
  const std::string fresh = path_ + ".new";
  ::unlink(fresh.c_str());
  JobJournal next(fresh);
  for (const auto& [id, ending] : open_) {
    BUILDER_TRY(next.append(line_of(id, ending)));
  }
  if (next.file_ && std::rename(fresh.c_str(), path_.c_str()) != 0) {
    return errno_failure("WORK_DIR: rename " + fresh);
  }
  if (!next.file_) {
    ::unlink(path_.c_str());
  }
  file_ = std::move(next.file_);
  size_ = next.size_;
  return {};
}

JobJournal::Open JobJournal::read(const std::string& path) {
  Open open;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line) && !file.eof();) {  // A torn one has no end.
    const std::size_t id_at = line.find(' ') + 1;
    const std::size_t id_end = line.find(' ', id_at);
    const std::string id = line.substr(id_at, id_end - id_at);
    if (line.starts_with("over ")) {
      open.erase(id);
    } else if (line.starts_with("taken ")) {
      open.try_emplace(id);
    } else if (line.starts_with("ended ") && id_end != std::string::npos) {
      auto ending = read_entry(std::string_view(line).substr(id_end + 1));
      open[id] = ending ? std::optional(*std::move(ending)) : std::nullopt;
    }
  }
  return open;
}

}  // namespace builder::adapters::redis
