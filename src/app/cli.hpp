#pragma once

namespace builder::app {

/// The whole program: reads the command line, runs the verb, returns the exit code
/// (docs/operations.md).
int run_command_line(int argc, char** argv);

}  // namespace builder::app
