#pragma once

#include "app/cli/view/summary.hpp"

#include <cstdio>
#include <memory>

namespace builder::app::cli {

/// An object a line for each thing that happens; docs/cli.md lists the fields. `stream` stays open.
std::unique_ptr<BuildView> make_json_view(std::FILE* stream);

}  // namespace builder::app::cli
