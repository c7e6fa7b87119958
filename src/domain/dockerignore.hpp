#pragma once

#include <string>

namespace builder::domain {

/// The `.dockerignore` for a repository that has none, after the original service's: version
/// control, dependencies, tests, logs, keys. `.env` is not in it: frameworks read it in the build.
/// A repository's own file is used byte for byte; `.git` needs no rule, since a source tree never
/// holds it.
std::string default_dockerignore();

}  // namespace builder::domain
