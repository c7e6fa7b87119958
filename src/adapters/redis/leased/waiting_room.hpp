#pragma once

#include "adapters/redis/client/redis_config.hpp"
#include "ports/waiting_room.hpp"

#include <chrono>
#include <memory>

namespace builder::adapters::redis {

struct WaitingRoomSettings {
  /// Deployments behind these are told nothing.
  std::size_t most = 50;
  /// How long a speaker that says nothing stays the speaker.
  std::chrono::milliseconds span{15'000};
};

/// Over a connection of its own, which is opened by the first call and again after it was lost.
/// Needs scripts; without them (guarantee C) every call is `denied`.
std::unique_ptr<ports::WaitingRoom> make_waiting_room(RedisConfig config,
                                                      const WaitingRoomSettings& settings = {});

}  // namespace builder::adapters::redis
