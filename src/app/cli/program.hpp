#pragma once

namespace builder::app::cli {

/// The whole program: reads the command line, runs the verb, returns the exit code.
int run_program(int argc, char** argv);

}  // namespace builder::app::cli
