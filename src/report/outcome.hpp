#pragma once

#include "base/result.hpp"

#include <string_view>

namespace builder::report {

/// How a deployment ended, and with it what becomes of its job.
enum class Outcome {
  builded,
  failed,
  cancelled,
  superseded,
  requeued,  ///< Not for us to end: the job, or its final status, is left to whoever comes next.
  gone,      ///< The platform no longer knows the deployment; nothing to report to.
  refused,   ///< Left to others because the platform refuses our API key.
  blocked,   ///< Goes back: it met what only the operator can mend.
  lost,      ///< The lease was lost: the job is another worker's by now.
};

/// What becomes of the job.
enum class Fate {
  ended,      ///< It has its end, which nothing but the platform's answer may still be missing.
  goes_back,  ///< To the head of the queue; the attempt is not counted.
  anothers,   ///< Nothing more is done for it here.
};

Fate fate_of(Outcome outcome);

std::string_view to_string(Outcome outcome);

/// What becomes of a deployment whose status the platform did not take, for this error.
Outcome not_told(ErrorKind error);

}  // namespace builder::report
