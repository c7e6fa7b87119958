#pragma once

#include "ports/queue_admin.hpp"
#include "ports/worker_entry.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace builder::adapters::redis {

/// What a worker says of itself, as it lies in Redis: a JSON object of a few hundred bytes. Times
/// are ages in seconds, and a script puts Redis's time in front, so that no other clock counts.
/// docs/protocol.md has the fields.
std::string write_worker(const ports::WorkerIdentity& identity,
                         const ports::WorkerActivity& activity);

/// A value of `{…}:about`.
struct WorkerNote {
  ports::QueueTime written{};
  ports::WorkerIdentity identity;
  ports::WorkerActivity activity;
};

/// nullopt: it is no `time JSON`. A field that is missing or of another type counts as empty.
std::optional<WorkerNote> read_worker(std::string_view value);

/// A pause as it lies in Redis: a JSON object of `note`, `by`, `since` (ms).
std::string write_pause(const ports::Pause& pause);
/// What cannot be read is a pause as well; its fields are empty.
ports::Pause read_pause(std::string_view text);

}  // namespace builder::adapters::redis
