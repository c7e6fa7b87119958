#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#ifndef BUILDER_LIBFUZZER
#include <map>
#endif

/// BUILDER_FUZZ(name) { … } gets `input`, any bytes. It is a target of libFuzzer in the preset
/// `fuzz`, and is fed with its corpus and damaged copies of it in `unit_fuzz`.
namespace builder::fuzz {

/// What must hold for every input does not.
class Broken : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void expect(bool holds, const std::string& what) {
  if (!holds) {
    throw Broken(what);
  }
}

/// Takes numbers off the front of the input, 0 when it is used up.
inline std::size_t take_byte(std::string_view& input) {
  if (input.empty()) {
    return 0;
  }
  const auto byte = static_cast<unsigned char>(input.front());
  input.remove_prefix(1);
  return byte;
}

#ifndef BUILDER_LIBFUZZER
using Target = void (*)(std::string_view input);

inline std::map<std::string, Target>& targets() {
  static std::map<std::string, Target> all;
  return all;
}
#endif

}  // namespace builder::fuzz

#ifdef BUILDER_LIBFUZZER
#define BUILDER_FUZZ(name)                                                            \
  static void fuzz_##name(std::string_view input);                                    \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    fuzz_##name({reinterpret_cast<const char*>(data), size});                         \
    return 0;                                                                         \
  }                                                                                   \
  static void fuzz_##name(std::string_view input)
#else
#define BUILDER_FUZZ(name)                                         \
  static void fuzz_##name(std::string_view input);                 \
  [[maybe_unused]] static const bool k_known_##name =              \
      builder::fuzz::targets().emplace(#name, fuzz_##name).second; \
  static void fuzz_##name(std::string_view input)
#endif
