#pragma once

#include "base/result.hpp"
#include "domain/build_event.hpp"
#include "domain/source_spec.hpp"
#include "ports/job_context.hpp"
#include "ports/source_tree.hpp"

#include <chrono>
#include <memory>
#include <string>

namespace builder::ports {

/// A commit's files. Whatever holds them (a work folder) is removed with the last reference.
struct FetchedSource {
  domain::CommitSha commit;
  std::string subject;  ///< First line of the commit message, at most 72 characters.
  /// Of the commit: the same wherever it is fetched. Between 1970 and 9999.
  std::chrono::sys_seconds committed_at = {};
  std::shared_ptr<const SourceTree> tree;
};

class SourceFetcher {
 public:
  virtual ~SourceFetcher() = default;
  /// Fetches the commit (or the branch's head) and checks it out into a fresh tree. Safe to repeat;
  /// called for several deployments at once.
  /// Errors, each with the customer's line set: `denied` (credentials), `not_found` (repository,
  /// branch or commit), `invalid_input` (address not allowed by the network policy),
  /// `unavailable`/`timed_out` (may be retried), `cancelled`.
  virtual Result<FetchedSource> fetch(const JobContext& job, const domain::SourceSpec& source,
                                      domain::EventSink& events) = 0;
};

}  // namespace builder::ports
