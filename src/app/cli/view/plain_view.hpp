#pragma once

#include "app/cli/view/summary.hpp"

#include <cstdio>
#include <memory>

namespace builder::app::cli {

/// A row for each thing that happens, in the words of the platform's log. To stderr.
std::unique_ptr<BuildView> make_plain_view();

/// Nothing but the digest of what was built, to stdout. Of a failure, what is needed to mend it.
std::unique_ptr<BuildView> make_quiet_view(std::FILE* stream);

}  // namespace builder::app::cli
