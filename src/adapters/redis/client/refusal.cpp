#include "adapters/redis/client/refusal.hpp"

#include <algorithm>
#include <array>

namespace builder::adapters::redis {

namespace {

struct Code {
  std::string_view word;
  Refusal refusal;
};

constexpr Refusal k_role{.kind = ErrorKind::unavailable, .changed_role = true};
constexpr Refusal k_away{.kind = ErrorKind::unavailable};
constexpr Refusal k_denied{.kind = ErrorKind::denied};

constexpr std::array<Code, 20> k_codes{{
    {"READONLY", k_role},
    {"LOADING", k_role},
    {"MASTERDOWN", k_role},
    {"UNBLOCKED", k_role},
    {"TRYAGAIN", k_role},
    {"CLUSTERDOWN", k_role},
    {"MOVED", k_role},
    {"ASK", k_role},
    {"BUSY", k_away},
    {"OOM", k_away},
    {"MISCONF", k_away},
    {"NOREPLICAS", k_away},
    {"IOERR", k_away},
    {"NOAUTH", k_denied},
    {"WRONGPASS", k_denied},
    {"NOPERM", k_denied},
    {"DENIED", k_denied},
    {"CROSSSLOT", k_denied},
    {"WRONGTYPE", {.kind = ErrorKind::conflict}},
    {"NOSCRIPT", {.kind = ErrorKind::not_found}},
}};

/// What has no code of its own.
constexpr std::array<Code, 3> k_phrases{{
    {"can't run this command", k_denied},
    {"max number of clients", k_away},
    {"invalid username-password pair", k_denied},
}};

std::string_view unwrapped(std::string_view text) {
  constexpr std::string_view k_place = "@user_script:";
  const std::size_t place =
      text.starts_with("ERR Error running script") ? text.rfind(k_place) : std::string_view::npos;
  if (place == std::string_view::npos) {
    return text;
  }
  text.remove_prefix(place + k_place.size());
  text.remove_prefix(std::min(text.find_first_not_of(" 0123456789:-"), text.size()));
  return text;
}

}  // namespace

Refusal read_refusal(std::string_view text) {
  const std::string_view inner = unwrapped(text);
  const std::string_view word = inner.substr(0, inner.find(' '));
  if (const auto* code = std::ranges::find(k_codes, word, &Code::word); code != k_codes.end()) {
    return code->refusal;
  }
  const auto* phrase = std::ranges::find_if(
      k_phrases, [&](const Code& candidate) { return text.contains(candidate.word); });
  return phrase == k_phrases.end() ? Refusal{} : phrase->refusal;
}

}  // namespace builder::adapters::redis
