#pragma once

#include <cstdio>
#include <cstdlib>

/// Ends the process, in release builds too, when `condition` is false: for defects of ours that no
/// caller could handle. Failures of peers and input are Results, never checks.
#define BUILDER_CHECK(condition)                                                         \
  do {                                                                                   \
    if (!(condition)) {                                                                  \
      std::fprintf(stderr, "%s:%d: check failed: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                      \
    }                                                                                    \
  } while (false)
