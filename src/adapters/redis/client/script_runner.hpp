#pragma once

#include "adapters/redis/client/connection.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::redis {

/// Our keys for one queue, in the order every script declares them (leased/scripts/common.lua).
/// They carry the queue's name as hash tag: on a cluster they share its slot.
std::vector<std::string> script_keys(const std::string& queue);

/// A key of ours beside the queue.
std::string own_key(const std::string& queue, std::string_view suffix);

/// Lower-case hex, as Redis names scripts.
std::string sha1_hex(std::string_view text);

/// Whether Redis runs scripts for us; `denied`, with what to change, when it refuses them.
Result<> may_run_scripts(Connection& connection, const std::stop_token& stop);

/// Whether the error says that the command is not there or not for us.
bool is_no_command(const Error& error);

/// One of the scripts, with the keys of one queue.
class Script {
 public:
  /// `more_keys` follow those that every script gets.
  Script(std::string_view text, const std::string& queue, std::vector<std::string> more_keys = {});

  /// Runs it by its digest, and by its text when Redis does not have it (any more).
  Result<Reply> run(Connection& connection, const std::vector<std::string>& arguments,
                    const std::stop_token& stop = {},
                    std::chrono::milliseconds patience = std::chrono::seconds(5)) const;

 private:
  std::string_view text_;
  std::string digest_;
  std::vector<std::string> keys_;
};

}  // namespace builder::adapters::redis
