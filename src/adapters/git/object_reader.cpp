#include "adapters/git/object_reader.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace builder::adapters::git {

namespace {

constexpr std::size_t k_chunk = 64 * 1024;
/// Of what is read whole: lists of names, commit messages, attributes, small files.
constexpr std::uint64_t k_largest_object = 64u << 20;

std::unexpected<Error> unreadable(const std::string& object, std::string_view why) {
  return failure(ErrorKind::internal, "object " + object + ": " + std::string(why));
}

}  // namespace

Result<ObjectReader> ObjectReader::start(const GitProcess& git, const std::string& git_dir) {
  // With --buffer git answers at "flush" only: nothing comes while requests still go out, so that
  // neither side ever waits for the other to read.
  BUILDER_TRY_ASSIGN(Coprocess coprocess,
                     git.start({"cat-file", "--batch-command", "--buffer"}, {.git_dir = git_dir}));
  return ObjectReader(std::move(coprocess));
}

Result<std::vector<std::string>> ObjectReader::contents(const ports::JobContext& job,
                                                        std::span<const std::string> objects,
                                                        std::string_view type) {
  BUILDER_TRY(ask(job, "contents", objects));
  std::vector<std::string> all;
  all.reserve(objects.size());
  for (const std::string& object : objects) {
    BUILDER_TRY_ASSIGN(const std::uint64_t size, header(job, object, type));
    if (size > k_largest_object) {
      return unreadable(object, "is too large");
    }
    BUILDER_TRY_ASSIGN(all.emplace_back(), body(job, size));
  }
  return all;
}

Result<std::vector<std::uint64_t>> ObjectReader::sizes(const ports::JobContext& job,
                                                       std::span<const std::string> objects,
                                                       std::string_view type) {
  BUILDER_TRY(ask(job, "info", objects));
  std::vector<std::uint64_t> all;
  all.reserve(objects.size());
  for (const std::string& object : objects) {
    BUILDER_TRY_ASSIGN(all.emplace_back(), header(job, object, type));
  }
  return all;
}

Result<> ObjectReader::ask(const ports::JobContext& job, std::string_view command,
                           std::span<const std::string> objects) {
  std::string request;
  for (const std::string& object : objects) {
    request.append(command).append(" ").append(object).append("\n");
  }
  request += "flush\n";
  return git_.write(request, job.stop, job.deadline);
}

Result<std::string> ObjectReader::line(const ports::JobContext& job) {
  std::size_t end = 0;
  while ((end = received_.find('\n', used_)) == std::string::npos) {
    BUILDER_TRY(more(job));
  }
  std::string text = received_.substr(used_, end - used_);
  used_ = end + 1;
  return text;
}

Result<std::uint64_t> ObjectReader::header(const ports::JobContext& job, const std::string& object,
                                           std::string_view type) {
  // <object> SP <type> SP <size>, or <object> SP missing.
  BUILDER_TRY_ASSIGN(const std::string text, line(job));
  const std::string start = object + " " + std::string(type) + " ";
  std::uint64_t size = 0;
  if (!text.starts_with(start) ||
      std::from_chars(text.data() + start.size(), text.data() + text.size(), size).ec !=
          std::errc()) {
    return unreadable(object, "no " + std::string(type) + ": " + text.substr(0, 100));
  }
  return size;
}

Result<std::string> ObjectReader::commit_of(const ports::JobContext& job, const std::string& id) {
  const std::array<std::string, 2> revisions{id + "^{commit}", id};
  BUILDER_TRY(ask(job, "info", revisions));
  BUILDER_TRY_ASSIGN(const std::string commit, line(job));
  BUILDER_TRY_ASSIGN(const std::string object, line(job));
  if (commit.contains(" commit ")) {
    return commit.substr(0, commit.find(' '));
  }
  for (const char* type : {" tag ", " tree ", " blob "}) {
    if (object.contains(type)) {
      return std::unexpected(Error{.kind = ErrorKind::invalid_input,
                                   .message = id + " is no commit: " + object,
                                   .customer = id.substr(0, 12) +
                                               " stands for no commit of this repository; enter "
                                               "the SHA of a commit"});
    }
  }
  return unreadable(id, "no commit: " + object.substr(0, 100));
}

Result<std::string> ObjectReader::body(const ports::JobContext& job, std::uint64_t size) {
  std::string content;
  content.reserve(size);
  // A line end follows the content.
  while (content.size() <= size) {
    if (used_ == received_.size()) {
      BUILDER_TRY(more(job));
    }
    const std::size_t part = std::min(received_.size() - used_, size + 1 - content.size());
    content.append(received_, used_, part);
    used_ += part;
  }
  content.pop_back();
  return content;
}

Result<> ObjectReader::more(const ports::JobContext& job) {
  received_.erase(0, std::exchange(used_, 0));
  const std::size_t kept = received_.size();
  received_.resize(kept + k_chunk);
  auto count = git_.read(std::span(received_).subspan(kept), job.stop, job.deadline);
  received_.resize(kept + count.value_or(0));
  BUILDER_TRY(count);
  return *count > 0 ? Result<>() : failure(ErrorKind::internal, "git cat-file ended too early");
}

}  // namespace builder::adapters::git
