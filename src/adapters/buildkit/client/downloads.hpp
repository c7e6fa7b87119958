#pragma once

#include "base/log.hpp"
#include "base/result.hpp"
#include "domain/downloads.hpp"
#include "ports/job_context.hpp"

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace builder::adapters::buildkit {

/// What BuildKit has recorded of a solve whose steps had its proxy for a network. It says nothing
/// of steps that were found in the cache.
struct RecordedDownloads {
  std::set<domain::Download> files;
  bool has_proxy = false;  ///< A step had the proxy: the daemon knows what was asked for.
  bool is_whole = true;    ///< No request failed, and none was left out here.
};

/// So much of a record is read, and so many downloads are taken from it.
inline constexpr std::size_t k_largest_record = std::size_t{4} << 20U;
inline constexpr std::size_t k_most_downloads = 5'000;

/// Adds what a record says, which is the predicate of a SLSA provenance v1.
Result<> read_record(std::string_view predicate, RecordedDownloads& into);

/// Asks the daemon for the record of a solve that has ended well, by its ref.
Result<RecordedDownloads> recorded_downloads(const ports::JobContext& job,
                                             const std::shared_ptr<grpc::Channel>& channel,
                                             const std::string& ref);

/// Lets the daemon forget a solve, whatever became of it: its record holds addresses and arguments
/// as they were. Best effort; takes seconds at most.
void forget_record(const Log& log, const std::shared_ptr<grpc::Channel>& channel,
                   const std::string& ref);

}  // namespace builder::adapters::buildkit
