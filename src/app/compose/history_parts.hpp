#pragma once

#include "app/config/config.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "ports/build_history.hpp"

#include <memory>
#include <string>

namespace builder::app {

/// The history of this machine. `not_found`: there is none.
Result<std::unique_ptr<ports::HistoryReader>> open_local_history(const Config& config);

/// What stands beside an address in a worker's entry. Whoever can write to Redis can announce any
/// address, and would be sent the token: only who has it can make this text for another one.
std::string history_proof(const Secret& token, const std::string& url);

/// Whether `proof` is that of the address; compared in a time that tells nothing.
bool is_proven(const Secret& token, const std::string& url, std::string_view proof);

/// What a worker lets others know of where its history is read.
struct AnnouncedHistory {
  std::string url;       ///< Empty: nowhere.
  std::string why_none;  ///< The setting that decides it.
};

/// HISTORY_ADDRESS, or what HTTP_LISTEN comes to for others: a wildcard is `host`, and a loopback
/// address is nobody else's.
AnnouncedHistory announced_history(const Config& config, const std::string& host);

}  // namespace builder::app
