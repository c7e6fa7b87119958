#include "app/cli.hpp"

#include <malloc.h>

int main(int argc, char** argv) {
  // Each of a build's two dozen threads would keep what a burst of output took in its own arena.
  ::mallopt(M_ARENA_MAX, 2);
  return builder::app::run_command_line(argc, argv);
}
