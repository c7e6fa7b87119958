#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace builder {

/// How many letters have to be changed, added or taken away to make one word of the other.
std::size_t spelling_distance(std::string_view left, std::string_view right);

/// The word that a misspelt one is probably meant to be, of a few that are known; empty: none is
/// near. The longer the word, the more may be wrong with it, up to two letters.
std::string nearest_word(std::string_view word, std::span<const std::string_view> known);

}  // namespace builder
