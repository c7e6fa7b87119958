#include "app/cli/command_line.hpp"
#include "app/cli/settings.hpp"
#include "app/cli/terminal.hpp"
#include "app/config/config.hpp"
#include "app/service.hpp"

#include <unistd.h>

namespace builder::app::cli {

namespace {

Exit serve() {
  const LoadedConfig loaded = load_config();
  if (!loaded.errors.empty()) {
    print_errors(loaded);
    complain(
        "`config` shows all settings, `doctor` tries what they name, and `build` makes an image of "
        "a "
        "folder without any of them");
    return Exit::usage;
  }
  if (const auto served =
          run_service(loaded.config, loaded.warnings, terminal_of(STDERR_FILENO).colour);
      !served) {
    complain(served.error().message);
    return Exit::failed;
  }
  return Exit::ok;
}

}  // namespace

void add_serve(CommandLine& line) {
  line.verb(nullptr, "serve", "Run the worker until SIGTERM (the default)",
            "  API_KEY=… deployra-builder serve   run the worker in the foreground\n"
            "  kill -TERM <pid>                   finish the running builds, then end",
            serve);
}

}  // namespace builder::app::cli
