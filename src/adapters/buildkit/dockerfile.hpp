#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::buildkit {

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

/// Enough of a Dockerfile to find the line of a step: Engine 20.10 tells names of steps only.
class Dockerfile {
 public:
  explicit Dockerfile(std::string_view text);

  [[nodiscard]] const std::vector<Instruction>& instructions() const { return instructions_; }

  /// The instruction behind a step's name, e.g. `[build 2/5] RUN npm test` or
  /// `[internal] load metadata for docker.io/library/node:20`. The daemon has replaced variables in
  /// it and dropped escapes. Null when there is none.
  [[nodiscard]] const Instruction* find_step(std::string_view name) const;
  /// The instruction that covers a line, or null.
  [[nodiscard]] const Instruction* at_line(std::size_t line) const;
  /// The lines with their numbers, those in `range` marked, and some around them.
  [[nodiscard]] std::vector<std::string> excerpt(LineRange range) const;

 private:
  void parse();
  void parse_directives();
  std::size_t end_of_heredocs(const std::string& text, std::size_t next) const;
  void add(std::string text, LineRange lines);
  [[nodiscard]] const Instruction* find_base(std::string_view reference) const;

  std::vector<std::string> lines_;
  char escape_ = '\\';
  std::size_t stages_ = 0;
  std::size_t ordinal_ = 0;
  std::string stage_;
  std::vector<Instruction> instructions_;
};

}  // namespace builder::adapters::buildkit
