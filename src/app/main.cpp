#include "app/cli/program.hpp"

#include <malloc.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int main(int argc, char** argv) {
  // Each of a build's two dozen threads would keep what a burst of output took in its own arena.
  ::mallopt(M_ARENA_MAX, 2);
  // What is larger goes back to the system when it is freed. Without this the C library would learn
  // from the first large block to keep all of its size.
  ::mallopt(M_MMAP_THRESHOLD, 256 * 1024);
  // What the process knows is the secrets of all customers: no core file and no other process of
  // the same user reads them.
  ::prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{};
  ::setrlimit(RLIMIT_CORE, &none);
  return builder::app::cli::run_program(argc, argv);
}
