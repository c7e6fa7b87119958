#include "app/cli/build_output.hpp"

#include "adapters/host/folder_sink.hpp"
#include "base/fd.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <map>
#include <utility>

namespace builder::app::cli {

namespace {

std::unexpected<Error> wrong(std::string message) {
  return failure(ErrorKind::invalid_input, std::move(message));
}

constexpr mode_t k_mode = 0666;  // The umask decides, as for every file that a program makes.

class Stdout final : public Output {
 public:
  ports::ByteSink& sink() override { return sink_; }

  Result<> keep() override { return {}; }

  [[nodiscard]] std::uint64_t size() const override { return sink_.size(); }

  [[nodiscard]] std::string name() const override { return "standard output"; }

 private:
  ports::FileSink sink_{STDOUT_FILENO, "standard output"};
};

class File final : public Output {
 public:
  enum class Where {
    in_place,  ///< What is there is no file.
    nameless,
    beside,  ///< Where a file must have a name: under `temporary`.
  };

  File(Fd fd, std::string path, std::string temporary, Where where)
      : fd_(std::move(fd)),
        path_(std::move(path)),
        temporary_(std::move(temporary)),
        where_(where),
        sink_(fd_.get(), path_) {}

  File(const File&) = delete;
  File& operator=(const File&) = delete;

  ~File() override {
    if (where_ == Where::beside) {
      ::unlink(temporary_.c_str());
    }
  }

  ports::ByteSink& sink() override { return sink_; }

  Result<> keep() override {
    if (where_ == Where::nameless) {
      // A link replaces nothing; a name does.
      const std::string own = fmt::format("/proc/self/fd/{}", fd_.get());
      if (::linkat(AT_FDCWD, own.c_str(), AT_FDCWD, temporary_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
        return errno_failure("--output: " + path_);
      }
      where_ = Where::beside;
    }
    if (where_ == Where::beside && ::rename(temporary_.c_str(), path_.c_str()) != 0) {
      return errno_failure("--output: " + path_);
    }
    where_ = Where::in_place;
    return {};
  }

  [[nodiscard]] std::uint64_t size() const override { return sink_.size(); }

  [[nodiscard]] std::string name() const override { return path_; }

 private:
  const Fd fd_;
  const std::string path_;
  const std::string temporary_;
  Where where_;
  ports::FileSink sink_;
};

class Folder final : public Output {
 public:
  Folder(std::unique_ptr<adapters::host::FolderSink> sink, std::string path)
      : sink_(std::move(sink)), path_(std::move(path)) {}

  ports::ByteSink& sink() override { return *sink_; }

  Result<> keep() override { return sink_->finish(); }

  [[nodiscard]] std::uint64_t size() const override { return sink_->size(); }

  [[nodiscard]] std::string name() const override {
    const auto others = sink_->passed_over();
    return others == 0 ? path_ : fmt::format("{}, without {} devices and pipes", path_, others);
  }

 private:
  const std::unique_ptr<adapters::host::FolderSink> sink_;
  const std::string path_;
};

Result<std::unique_ptr<Output>> open_file(const std::string& path) {
  struct stat status{};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) {
    return wrong(fmt::format("--output: {} is a folder; name a file in it", path));
  }
  std::string temporary = fmt::format("{}.{}.part", path, random_hex(4));
  auto where = File::Where::nameless;
  Fd fd;
  if (exists && !S_ISREG(status.st_mode)) {
    where = File::Where::in_place;
    fd = Fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  } else {
    // Without a name it is no part of a build of the folder in which it comes to lie.
    const std::string folder = std::filesystem::path(path).parent_path().string();
    fd =
        Fd(::open(folder.empty() ? "." : folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, k_mode));
    if (!fd && (errno == EOPNOTSUPP || errno == EISDIR)) {
      where = File::Where::beside;
      fd = Fd(
          ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, k_mode));
    }
  }
  if (!fd) {
    return errno_failure("--output: " + path);
  }
  return std::make_unique<File>(std::move(fd), path, std::move(temporary), where);
}

}  // namespace

Result<OutputSpec> parse_output(std::string_view text) {
  std::map<std::string, std::string, std::less<>> fields;
  if (!text.contains('=') && text.ends_with(".tar")) {
    return wrong(fmt::format("--output {} would be a folder; for a file: --output type=tar,dest={}",
                             text, text));
  }
  if (!text.empty() && !text.contains('=')) {
    return OutputSpec{.type = text == "-" ? OutputType::tar : OutputType::local,
                      .destination = std::string(text)};
  }
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view field = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(field.size() + 1, rest.size()));
    const auto equals = field.find('=');
    if (equals == std::string_view::npos) {
      return wrong(fmt::format("--output {}: '{}' is not NAME=VALUE", text, field));
    }
    if (!fields.emplace(field.substr(0, equals), field.substr(equals + 1)).second) {
      return wrong(fmt::format("--output {}: '{}' stands twice", text, field.substr(0, equals)));
    }
  }
  OutputSpec output;
  for (const auto& [name, value] : fields) {
    if (name == "dest") {
      output.destination = value;
    } else if (name != "type") {
      return wrong(
          fmt::format("--output {}: '{}' is not known; there are type and dest", text, name));
    }
  }
  const std::string type = fields.contains("type") ? fields.find("type")->second : "";
  if (type == "oci") {
    output.type = OutputType::oci;
  } else if (type == "docker") {
    output.type = OutputType::docker;
  } else if (type == "tar") {
    output.type = OutputType::tar;
  } else if (type == "local") {
    output.type = OutputType::local;
  } else {
    return wrong(fmt::format("--output {}: type must be oci, docker, tar or local", text));
  }
  if (output.destination.empty()) {
    return wrong(fmt::format("--output {}: dest is missing: a path, or - for stdout", text));
  }
  if (output.is_stdout() && output.type == OutputType::local) {
    return wrong(fmt::format("--output {}: files go to a folder; a tar of them is type=tar", text));
  }
  return output;
}

Result<std::unique_ptr<Output>> open_output(const OutputSpec& spec) {
  if (spec.type == OutputType::local) {
    auto sink = adapters::host::FolderSink::open(spec.destination);
    if (!sink) {
      return std::unexpected(std::move(sink).error().with_context("--output"));
    }
    return std::make_unique<Folder>(*std::move(sink), spec.destination);
  }
  if (!spec.is_stdout()) {
    return open_file(spec.destination);
  }
  if (::isatty(STDOUT_FILENO) == 1) {
    return wrong("--output: an archive is nothing for a terminal; lead stdout into a file");
  }
  return std::make_unique<Stdout>();
}

}  // namespace builder::app::cli
