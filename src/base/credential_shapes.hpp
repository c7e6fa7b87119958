#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace builder {

/// A key that is known by how it begins.
struct TokenShape {
  std::string_view prefix;
  std::size_t shortest;  ///< Characters behind the prefix.
};

inline constexpr std::array<TokenShape, 8> k_token_shapes{{{"ghp_", 20},
                                                           {"gho_", 20},
                                                           {"ghu_", 20},
                                                           {"ghs_", 20},
                                                           {"ghr_", 20},
                                                           {"github_pat_", 20},
                                                           {"AKIA", 16},
                                                           {"ASIA", 16}}};

}  // namespace builder
