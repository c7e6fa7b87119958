#pragma once

#include "adapters/buildkit/diagnosis/frontend.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::buildkit {

/// A larger file is no Dockerfile.
inline constexpr std::size_t k_dockerfile_limit = 1024 * 1024;

/// The instructions of a Dockerfile (Dockerfile reference).
inline constexpr auto k_keywords = std::to_array<std::string_view>(
    {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL",
     "MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"});

/// A character of a variable's name.
constexpr bool is_of_variable(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// The flag of a FROM that names its platform.
inline constexpr std::string_view k_platform_flag = "--platform=";

struct LineRange {
  std::size_t first = 0;  ///< Counted from 1; 0: unknown.
  std::size_t last = 0;
};

/// One instruction: continuation lines joined, comments between them dropped, a heredoc's body
/// counted as lines but not in `text`.
struct Instruction {
  LineRange lines;
  std::string keyword;      ///< Upper case.
  std::string text;         ///< With the keyword.
  std::string stage;        ///< The name after AS, lower case; else `stage-N`.
  std::size_t ordinal = 0;  ///< Its number in the daemon's `[stage 2/5]`; 0: not counted there.
};

/// What stands behind the keyword.
struct Parts {
  std::vector<std::string> flags;  ///< With their dashes.
  std::vector<std::string> words;  ///< The rest; of the form in brackets its strings.
};

Parts parts_of(std::string_view instruction);

/// The sources of a COPY or ADD that come from the context, and those a RUN mounts from it; none of
/// those that come from a stage or an image.
std::vector<std::string> context_sources(std::string_view instruction);

/// The images and stages an instruction names, as it writes them.
std::vector<std::string> named_images(const Instruction& instruction);

/// Where a step of the daemon comes from.
struct StepPlace {
  const Instruction* instruction = nullptr;  ///< Null: not in this file.
  /// Not empty: the base image of `instruction`, a FROM, has it as a trigger (ONBUILD).
  std::string trigger = {};
};

/// Enough of a Dockerfile to find the line of a step: Engine 20.10 tells names of steps only.
class Dockerfile {
 public:
  explicit Dockerfile(std::string_view text);

  [[nodiscard]] const std::vector<Instruction>& instructions() const { return instructions_; }

  /// The instruction behind a step's name, e.g. `[build 2/5] RUN npm test` or
  /// `[internal] load metadata for docker.io/library/node:20`. The daemon has replaced variables in
  /// it and dropped escapes.
  [[nodiscard]] StepPlace find_step(std::string_view name) const;
  /// The instruction that covers a line, or null.
  [[nodiscard]] const Instruction* at_line(std::size_t line) const;
  /// The FROM whose image a stage (by its name; empty: the last) is made of, through all stages
  /// between them; null when there is none.
  [[nodiscard]] const Instruction* final_base(std::string_view stage = {}) const;
  /// The value of `--platform` of a FROM, with the variables known at that place; empty: not set,
  /// or not known.
  [[nodiscard]] std::string platform_of(const Instruction& from) const;
  /// Its first line is the FROM of the stage an instruction belongs to; null before the first.
  [[nodiscard]] const Instruction* stage_of(const Instruction& instruction) const;

  /// nullopt: the engine's own frontend reads the file.
  [[nodiscard]] const std::optional<NamedFrontend>& frontend() const { return frontend_; }

  /// The line of the directive (`# check=…`); 0 when there is none.
  [[nodiscard]] std::size_t directive_line(std::string_view name) const;

  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }

  /// The lines with their numbers, those in `range` marked, and some around them.
  [[nodiscard]] std::vector<std::string> excerpt(LineRange range) const;

 private:
  void parse();
  [[nodiscard]] StepPlace trigger_of(std::string_view stage, std::string_view text) const;
  std::size_t end_of_heredocs(const std::string& text, std::size_t next) const;
  void add(std::string text, LineRange lines);
  [[nodiscard]] const Instruction* find_base(std::string_view reference) const;

  std::vector<std::string> lines_;
  char escape_ = '\\';
  std::optional<NamedFrontend> frontend_;
  std::size_t stages_ = 0;
  std::size_t ordinal_ = 0;
  std::string stage_;
  std::vector<Instruction> instructions_;
};

/// Whether a RUN has a cache mount under another name than its target: with an `id`, a `sharing`,
/// or a target that is not written out.
bool names_cache_mounts(std::string_view dockerfile);

}  // namespace builder::adapters::buildkit
