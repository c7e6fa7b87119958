#pragma once

#include "app/health/page_queue.hpp"
#include "base/result.hpp"
#include "ports/build_history.hpp"

#include <functional>
#include <memory>
#include <string>

namespace builder::app {

using HistoryOpener = std::function<Result<std::unique_ptr<ports::HistoryReader>>()>;

/// A page of `/history` as JSON (docs/protocol.md): 400 and 404 for what is not understood, 503
/// while the history cannot be read. Each is at most 1 MiB. One thread at a time.
PageQueue::Make history_pages(HistoryOpener open);

}  // namespace builder::app
