#include "app/cli/program.hpp"

#include "app/cli/command_line.hpp"

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
  return static_cast<int>(line.run(argc, argv, "serve"));
}

}  // namespace builder::app::cli
