#pragma once

#include "base/result.hpp"
#include "ports/job_context.hpp"
#include "report/outcome.hpp"

#include <optional>

namespace builder::work {

/// What a run has brought about when it is over.
enum class Product {
  image,            ///< It is in the registry.
  operators_fault,  ///< None, for what only the operator can mend (`Error::setting`).
  out_of_time,      ///< None: it took longer than BUILD_TIMEOUT.
  failure,          ///< None, for any other reason.
};

/// What the customer reads last. The lines of a cancel are `report::update_of`'s.
enum class LastLine {
  none,
  success,
  cancel,
  own,  ///< The error's.
  build_timeout,
  silence,
  disk_full,        ///< The build filled it twice.
  disk_short,       ///< It starts again when there is room.
  operators_fault,  ///< It starts again when that is mended.
};

struct RunEnd {
  report::Outcome outcome = report::Outcome::failed;
  LastLine line = LastLine::none;

  bool operator==(const RunEnd&) const = default;
};

/// How a run ends; pure. `not_announced`: why the platform did not take BUILDING. `stop`: `none`
/// while nothing asked for one. The outcome is the one that is reported: the queue may know of a
/// cancel that came first, and the platform may not take the status.
RunEnd decide_end(std::optional<ErrorKind> not_announced, Product product, ports::StopReason stop);

}  // namespace builder::work
