#include "app/cli/view/view.hpp"

#include "app/cli/view/json_view.hpp"
#include "app/cli/view/live_view.hpp"
#include "app/cli/view/plain_view.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <utility>

namespace builder::app::cli {

Result<std::unique_ptr<BuildView>> make_view(std::string_view progress, const Terminal& terminal,
                                             std::FILE* results, SourceReader source) {
  if (progress == "quiet") {
    return make_quiet_view(results);
  }
  if (progress == "json") {
    return make_json_view(results);
  }
  if (progress == "plain" || (progress == "auto" && !terminal.can_redraw)) {
    return make_plain_view();
  }
  if (progress == "auto" || (progress == "tty" && terminal.can_redraw)) {
    return make_live_view(STDERR_FILENO, std::move(source));
  }
  return failure(
      ErrorKind::invalid_input,
      progress == "tty"
          ? "--progress=tty needs a terminal on stderr, and TERM has to name its kind"
          : fmt::format("--progress={}: there are {}", progress, fmt::join(k_progress, ", ")));
}

}  // namespace builder::app::cli
