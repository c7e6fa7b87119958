#include "app/cli/build_output.hpp"

#include "adapters/host/folder_sink.hpp"
#include "base/fd.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
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
  /// `temporary` empty: it is written in place.
  File(Fd fd, std::string path, std::string temporary)
      : fd_(std::move(fd)),
        path_(std::move(path)),
        temporary_(std::move(temporary)),
        sink_(fd_.get(), path_) {}

  File(const File&) = delete;
  File& operator=(const File&) = delete;

  ~File() override {
    if (!temporary_.empty()) {
      ::unlink(temporary_.c_str());
    }
  }

  ports::ByteSink& sink() override { return sink_; }

  Result<> keep() override {
    if (!temporary_.empty() && ::rename(temporary_.c_str(), path_.c_str()) != 0) {
      return errno_failure("--output: " + path_);
    }
    temporary_.clear();
    return {};
  }

  [[nodiscard]] std::uint64_t size() const override { return sink_.size(); }

  [[nodiscard]] std::string name() const override { return path_; }

 private:
  const Fd fd_;
  const std::string path_;
  std::string temporary_;
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
  const bool in_place = exists && !S_ISREG(status.st_mode);
  std::string temporary = in_place ? "" : fmt::format("{}.{}.part", path, random_hex(4));
  Fd fd(in_place ? ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY)
                 : ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                          k_mode));
  if (!fd) {
    return errno_failure("--output: " + path);
  }
  return std::make_unique<File>(std::move(fd), path, std::move(temporary));
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
    fields.emplace(field.substr(0, equals), field.substr(equals + 1));
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
