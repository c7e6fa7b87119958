#pragma once

#include "app/config/config.hpp"

#include <string>
#include <vector>

namespace builder::app::cli {

/// What is wrong with the configuration, to stderr.
void print_errors(const LoadedConfig& loaded);
void print_errors(const std::vector<std::string>& errors);

}  // namespace builder::app::cli
