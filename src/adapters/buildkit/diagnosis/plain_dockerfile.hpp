#pragma once

#include "adapters/buildkit/diagnosis/source_rules.hpp"

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::buildkit {

/// An instruction, or the one that an ONBUILD holds.
struct PlainInstruction {
  std::size_t line = 0;            ///< Counted from 1.
  std::string keyword;             ///< Lower case.
  std::vector<std::string> flags;  ///< With their dashes, without quotes and escapes.
  std::string arguments;           ///< What stands behind them, without the body of a heredoc.
  bool is_trigger = false;         ///< Of an ONBUILD.

  /// On one line.
  [[nodiscard]] std::string text() const;
};

/// Something that frontends read in different ways.
struct Unclear {
  std::size_t line = 0;
  std::string what;  ///< For the customer, behind "line … ": what it is, and what to write instead.
};

/// A Dockerfile as every frontend of Docker's reads it, from BuildKit 0.7's on: of a text that one
/// of them reads in another way than the others, or that would take their whole code to read, it
/// says so instead. For who must not be mistaken; `Dockerfile` is for who explains.
std::expected<std::vector<PlainInstruction>, Unclear> read_plainly(std::string_view dockerfile);

/// An image that an instruction names.
struct PlainImage {
  std::size_t line = 0;
  /// With the values of variables; nullopt: they cannot be told here.
  std::optional<std::string> name;
  std::string written;
};

/// All images that the instructions take something from, whatever a build makes of them: of FROM,
/// `COPY --from` and mounts, triggers included. Stages of the file are none, nor is `scratch`; a
/// name counts as a stage only where every frontend takes it for one.
std::vector<PlainImage> images_of(const std::vector<PlainInstruction>& instructions,
                                  const GivenArguments& given);

}  // namespace builder::adapters::buildkit
