#pragma once

#include "adapters/http/client.hpp"
#include "app/cli/command_line.hpp"
#include "app/cli/history/histories.hpp"
#include "app/config/config.hpp"
#include "ports/queue_admin.hpp"

#include <functional>
#include <memory>
#include <stop_token>

/// What the verbs about histories have in common.
namespace builder::app::cli {

/// What such a verb has at hand.
struct HistoryAccess {
  Histories& histories;
  ports::QueueAdmin& queue;
  std::stop_token stop;  ///< Ctrl+C.
};

/// Which workers are asked.
enum class Ask {
  all,      ///< Whoever cannot be asked is missing.
  if_told,  ///< None without HISTORY_TOKEN, for a verb that has something to say without them.
};

/// Reads the settings of Redis and of histories, and asks the queue for its workers. The exit code
/// of `work`; of a configuration that is wrong, and of Ctrl+C, their own.
Exit with_histories(const std::function<Exit(const HistoryAccess&)>& work, Ask ask = Ask::all);

/// The history of this machine and those that the workers of the queue announce; whoever announces
/// none is missing. The client outlives it.
Histories open_histories(const Config& config, adapters::http::Client& client,
                         const Result<ports::QueueLook>& look, const std::stop_token& stop);

/// A line on stderr for each history that is missing.
void complain_of(const std::vector<MissingHistory>& missing);

}  // namespace builder::app::cli
