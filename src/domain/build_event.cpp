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

}  // namespace builder::domain
