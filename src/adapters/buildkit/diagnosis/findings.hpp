#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace builder::adapters::buildkit {

/// A step that ended with an error.
struct FailedStep {
  std::uint32_t number = 0;
  std::string digest;
  std::string name;
  std::string error;
  std::string output = {};  ///< The end of what it printed.
};

/// A warning of the frontend about a line of the Dockerfile.
struct BuildWarning {
  std::size_t line = 0;  ///< 0: it names none.
  std::string text;
};

}  // namespace builder::adapters::buildkit
