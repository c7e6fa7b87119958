#pragma once

#include "app/config/config.hpp"

namespace builder::app::cli {

/// What is wrong with the configuration, to stderr.
void print_errors(const LoadedConfig& loaded);

}  // namespace builder::app::cli
