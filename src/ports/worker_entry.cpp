#include "ports/worker_entry.hpp"

#include "base/text.hpp"

#include <fmt/chrono.h>

namespace builder::ports {

std::string in_words(const Pause& pause) {
  constexpr std::size_t k_shown = 200;
  std::string text = pause.by.empty() ? "by somebody" : "by " + printable_line(pause.by, k_shown);
  if (pause.since.time_since_epoch().count() > 0) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(pause.since).time_since_epoch();
    text += fmt::format(" since {:%Y-%m-%dT%H:%M:%SZ}",
                        fmt::gmtime(static_cast<std::time_t>(seconds.count())));
  }
  return pause.note.empty() ? text : text + ": " + printable_line(pause.note, k_shown);
}

}  // namespace builder::ports
