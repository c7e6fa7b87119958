#include "app/cli/program.hpp"

#include "app/cli/command_line.hpp"

#include <cerrno>
#include <cstdio>

namespace builder::app::cli {

int run_program(int argc, char** argv) {
  CommandLine line;
  add_serve(line);
  add_build(line);
  add_config(line);
  add_health(line);
  add_doctor(line);
  add_queue(line);
  add_list(line);
  add_show(line);
  add_logs(line);
  add_replay(line);
  add_submit(line);
  add_cancel(line);
  add_workers(line);
  add_dead(line);
  add_pause(line);
  add_resume(line);
  add_completion(line);
  add_manual(line);
  add_version(line);
  add_help(line);
  const Exit exit = line.run(argc, argv, "serve");
  const bool is_written = std::fflush(stdout) == 0 && std::ferror(stdout) == 0;
  // Whoever closes a pipe has read enough.
  if (exit == Exit::ok && !is_written && errno != EPIPE) {
    complain("the output could not be written");
    return static_cast<int>(Exit::failed);
  }
  return static_cast<int>(exit);
}

}  // namespace builder::app::cli
