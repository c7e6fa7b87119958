#pragma once

#include "adapters/redis/client/connection.hpp"

#include <chrono>
#include <stop_token>
#include <string>

namespace builder::adapters::redis {

/// The value of a field of an answer to INFO; empty: it has none.
std::string info_field(const std::string& info, const std::string& name);

/// One start of a server.
struct ServerStart {
  std::string run_id;  ///< Of this start; empty: it does not say.
  std::chrono::seconds uptime{0};
};

/// What the server says of its start (INFO server); where it says nothing, the fields are empty.
ServerStart server_start(Connection& connection, const std::stop_token& stop);

}  // namespace builder::adapters::redis
