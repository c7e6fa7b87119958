#pragma once

#include "base/named_string.hpp"

namespace builder::domain {

using DeploymentId = NamedString<struct DeploymentIdTag>;  ///< [A-Za-z0-9][A-Za-z0-9_-]{0,127}
using ServiceId = NamedString<struct ServiceIdTag>;        ///< A lower-case repository name part.
using CommitSha = NamedString<struct CommitShaTag>;        ///< 40 or 64 lower-case hex digits.

}  // namespace builder::domain
