#include "app/cli/build_output.hpp"

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

}  // namespace

Result<OutputSpec> parse_output(std::string_view text) {
  std::map<std::string, std::string, std::less<>> fields;
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
  } else {
    return wrong(fmt::format("--output {}: type must be oci, docker or tar", text));
  }
  if (output.destination.empty()) {
    return wrong(fmt::format("--output {}: dest is missing: a path, or - for stdout", text));
  }
  return output;
}

Result<std::unique_ptr<OutputFile>> OutputFile::open(const std::string& destination) {
  std::unique_ptr<OutputFile> file(new OutputFile);
  file->path_ = destination;
  if (destination == "-") {
    if (::isatty(STDOUT_FILENO) == 1) {
      return wrong("--output: an archive is nothing for a terminal; lead stdout into a file");
    }
    file->sink_ = std::make_unique<ports::FileSink>(STDOUT_FILENO, "standard output");
    return file;
  }
  struct stat status{};
  const bool exists = ::stat(destination.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) {
    return wrong(fmt::format("--output: {} is a folder; name a file in it", destination));
  }
  if (exists && !S_ISREG(status.st_mode)) {
    file->fd_ = Fd(::open(destination.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
  } else {
    file->temporary_ = fmt::format("{}.{}.part", destination, random_hex(4));
    file->fd_ = Fd(::open(file->temporary_.c_str(),
                          O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, k_mode));
  }
  if (!file->fd_) {
    auto error = errno_failure("--output: " + destination);
    file->temporary_.clear();
    return error;
  }
  file->sink_ = std::make_unique<ports::FileSink>(file->fd_.get(), destination);
  return file;
}

OutputFile::~OutputFile() {
  if (!temporary_.empty()) {
    ::unlink(temporary_.c_str());
  }
}

Result<> OutputFile::keep() {
  if (temporary_.empty()) {
    return {};
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    return errno_failure("--output: " + path_);
  }
  temporary_.clear();
  return {};
}

}  // namespace builder::app::cli
