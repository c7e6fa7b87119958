#pragma once

#include "adapters/http/client.hpp"
#include "base/secret.hpp"
#include "ports/build_history.hpp"

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

namespace builder::adapters::remote_history {

struct RemoteAddress {
  std::string url;                         ///< `http://ops-1:9191`, without a trailing slash.
  Secret token;                            ///< HISTORY_TOKEN.
  std::chrono::milliseconds limit{5'000};  ///< For each answer.
};

/// The history of another worker, page by page. What it answers is a stranger's: bounded in size
/// and depth, and not fit to be shown as it is. Never asked through a proxy. Besides the port's
/// errors: `denied` (the token), `timed_out`, `cancelled`, `internal` (somebody else answers
/// there). The client outlives it.
std::unique_ptr<ports::HistoryReader> make_remote_history(http::Client& client,
                                                          RemoteAddress address,
                                                          std::stop_token stop);

}  // namespace builder::adapters::remote_history
