#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace builder {

/// No peer sends deeper JSON than this.
inline constexpr std::size_t k_deepest_json = 64;

/// Whether the lists and objects of a JSON text nest deeper than `limit`.
bool nests_deeper(std::string_view json, std::size_t limit);

/// Parses a stranger's JSON. The value is discarded (`is_discarded`) if the text is not JSON or
/// nests deeper than `k_deepest_json`, since the library works on values by recursion.
template <class Json = nlohmann::json>
Json parse_json(std::string_view text) {
  return nests_deeper(text, k_deepest_json) ? Json(Json::value_t::discarded)
                                            : Json::parse(text, nullptr, false);
}

/// The text in a field of an object; empty if the field is missing or holds something else.
std::string text_of(const nlohmann::json& object, const char* field);

/// The text that a value is; empty if it is none.
std::string text_of(const nlohmann::json& value);

/// What is in a field of a stranger's value; null if that is no object, or has no such field.
nlohmann::json part_of(const nlohmann::json& value, const char* field);

}  // namespace builder
