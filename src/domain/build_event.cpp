#include "domain/build_event.hpp"

namespace builder::domain {

std::string_view to_string(LogType type) {
  switch (type) {
    case LogType::stdout_:
      return "STDOUT";
    case LogType::stderr_:
      return "STDERR";
    case LogType::info:
      return "INFO";
    case LogType::warning:
      return "WARNING";
    case LogType::error:
      return "ERROR";
  }
  return "INFO";
}

bool was_stopped(const StepFinished& step) {
  // A command may hold these words as well.
  return step.error.ends_with("context canceled") || step.error.ends_with("CANCELED");
}

}  // namespace builder::domain
