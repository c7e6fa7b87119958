#pragma once

#include "adapters/docker/engine_address.hpp"

#include <string>

namespace builder::app {

/// A standalone BuildKit.
struct BuildkitAddress {
  std::string platform;  ///< That of its machine; empty: it is the only one.
  adapters::docker::EngineAddress address;

  bool operator==(const BuildkitAddress&) const = default;
};

}  // namespace builder::app
