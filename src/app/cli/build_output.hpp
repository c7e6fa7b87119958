#pragma once

#include "base/result.hpp"
#include "ports/byte_sink.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace builder::app::cli {

enum class OutputType { oci, docker, tar, local };

/// What `--output` says, as buildx writes it.
struct OutputSpec {
  OutputType type = OutputType::oci;
  std::string destination;  ///< A path, or "-" for stdout.

  [[nodiscard]] bool is_stdout() const { return destination == "-"; }
};

/// `type=oci|docker|tar|local,dest=PATH|-`; a path alone is `type=local`, "-" alone `type=tar`. The
/// error is a sentence for whoever typed it.
Result<OutputSpec> parse_output(std::string_view text);

/// Where the result of a build is written. What is not kept leaves nothing behind.
class Output {
 public:
  virtual ~Output() = default;
  [[nodiscard]] virtual ports::ByteSink& sink() = 0;
  /// All of it is there.
  virtual Result<> keep() = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;  ///< Bytes so far.
  [[nodiscard]] virtual std::string name() const = 0;    ///< For people.
};

/// A file gets its name when all of it is there, in place of one of that name: what is there before
/// is whole at any time. "-" is stdout, which must be no terminal. Into a folder (`local`) the
/// files go as they come, and stay. Errors name the path.
Result<std::unique_ptr<Output>> open_output(const OutputSpec& spec);

}  // namespace builder::app::cli
