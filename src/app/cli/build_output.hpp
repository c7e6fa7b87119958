#pragma once

#include "base/fd.hpp"
#include "base/result.hpp"
#include "ports/byte_sink.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace builder::app::cli {

enum class OutputType { oci, docker, tar };

/// What `--output` says, as buildx writes it.
struct OutputSpec {
  OutputType type = OutputType::oci;
  std::string destination;  ///< A path, or "-" for stdout.
};

/// `type=oci|docker|tar,dest=PATH|-`. The error is a sentence for whoever typed it.
Result<OutputSpec> parse_output(std::string_view text);

/// Where an archive is written. A file gets its name when all of it is there, in place of one of
/// that name: what is there before is whole at any time, and nothing is left of a failed build.
class OutputFile {
 public:
  /// "-" is stdout, which must be no terminal. Errors name the path.
  static Result<std::unique_ptr<OutputFile>> open(const std::string& destination);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  [[nodiscard]] ports::ByteSink& sink() { return *sink_; }

  /// For people.
  [[nodiscard]] std::string name() const { return path_ == "-" ? "standard output" : path_; }

  [[nodiscard]] std::uint64_t size() const { return sink_->size(); }

  /// All of it is there.
  Result<> keep();

 private:
  OutputFile() = default;

  std::string path_;
  std::string temporary_;  ///< Empty: it is written in place.
  Fd fd_;
  std::unique_ptr<ports::FileSink> sink_;
};

}  // namespace builder::app::cli
