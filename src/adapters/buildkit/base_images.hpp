#pragma once

#include "ports/registry.hpp"

#include <string_view>

namespace builder::adapters::buildkit {

/// Whether it can be read off a Dockerfile that no image of another service is a source of its
/// build: every image it names is written out (no variable, no frontend of its own), and none lies
/// beside `repository` in its registry. For engines that cannot be given a source policy.
bool uses_no_foreign_service(std::string_view dockerfile, const ports::Repository& repository);

}  // namespace builder::adapters::buildkit
