#pragma once

#include "adapters/http/message.hpp"
#include "base/result.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::oci {

/// What an answer from a registry's address means: the one place that decides it. Only what
/// registries alone say is their word: an error body with `errors` and codes, their version's
/// header, a challenge they can be answered. Whatever else answers (a proxy, a firewall, a portal,
/// another program, a redirect) says nothing about an image.

/// The registry's own word, whatever it says.
bool is_registrys(const http::Response& response);

/// `CODE: message` of a registry's error body, or its beginning.
std::string words_of(const http::Response& response);

/// An answer other than a success, to `request` ("GET https://…"). `not_found`, `denied` (of the
/// registry itself alone), `conflict` (immutable tag), `unavailable` (away, busy, or not the
/// registry), `internal` (it finds the request wrong).
Error refusal(std::string_view request, const http::Response& response);

/// Not the registry answered: `unavailable`, with the setting to look at. `who`: "the registry",
/// "the token service".
Error of_stranger(std::string_view request, std::string_view who, const http::Response& response);

}  // namespace builder::adapters::oci
