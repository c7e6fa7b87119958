#pragma once

// toml++ for texts of strangers. What the library asserts while it parses it takes for granted when
// NDEBUG is set (TOML_ASSERT_ASSUME): undefined behaviour, for a file that begins a key with the
// wrong character for one. Here it neither assumes nor asserts: every such place goes on to an
// error.
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(condition) static_cast<void>(0)
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")
