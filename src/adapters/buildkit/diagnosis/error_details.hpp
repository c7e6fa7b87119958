#pragma once

#include "adapters/buildkit/diagnosis/dockerfile.hpp"

#include <grpcpp/grpcpp.h>

#include <optional>
#include <string>

namespace builder::adapters::buildkit {

/// The typed details of an error, which BuildKit >= 0.10 sends behind an Engine >= 23 or alone.
struct Details {
  LineRange lines;
  std::string vertex;
  std::optional<int> exit_code;
};

/// Empty where there are none, or none that can be read.
Details read_details(const grpc::Status& status);

}  // namespace builder::adapters::buildkit
