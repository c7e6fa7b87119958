#include "report/outcome.hpp"

namespace builder::report {

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::builded:
      return "builded";
    case Outcome::failed:
      return "failed";
    case Outcome::cancelled:
      return "cancelled";
    case Outcome::superseded:
      return "superseded";
    case Outcome::requeued:
      return "requeued";
    case Outcome::gone:
      return "gone";
    case Outcome::refused:
      return "refused";
    case Outcome::blocked:
      return "blocked";
    case Outcome::lost:
      return "lost";
  }
  return "failed";
}

Fate fate_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::builded:
    case Outcome::failed:
    case Outcome::cancelled:
    case Outcome::superseded:
    case Outcome::gone:
      return Fate::ended;
    case Outcome::requeued:
    case Outcome::refused:
    case Outcome::blocked:
      return Fate::goes_back;
    case Outcome::lost:
      break;
  }
  return Fate::anothers;
}

Outcome not_told(ErrorKind error) {
  switch (error) {
    case ErrorKind::not_found:
      return Outcome::gone;
    case ErrorKind::denied:
      return Outcome::refused;
    case ErrorKind::conflict:
      return Outcome::lost;
    default:
      return Outcome::requeued;
  }
}

}  // namespace builder::report
