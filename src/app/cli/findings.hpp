#pragma once

#include "app/cli/command_line.hpp"
#include "app/cli/terminal.hpp"
#include "app/doctor/finding.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace builder::app::cli {

/// What `doctor` shows.
struct Findings {
  std::vector<Finding> all;  ///< Those of a group behind each other.
  std::chrono::nanoseconds took{0};
};

/// `usage` with a wrong configuration, else `failed` with a failure.
Exit exit_of(const Findings& findings, bool is_misconfigured);

/// For a terminal: a paragraph for each group, long texts below each other. For a pipe: one line
/// for each finding, in columns. A line that counts them comes last.
std::string as_text(const Findings& findings, const Terminal& terminal);

/// docs/cli.md documents the fields.
std::string as_json(const Findings& findings, Exit code);

}  // namespace builder::app::cli
