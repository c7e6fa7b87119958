#pragma once

#include "adapters/http/message.hpp"

#include <cstddef>
#include <string>

namespace builder::adapters::http {

/// A status that sends elsewhere.
bool is_redirect(int status);

/// A page for people, or another document in angle brackets: of a portal, a proxy, a maintenance.
bool is_page(const Response& response);

/// How an answer shows itself that its peer cannot have given: "404 text/html: <html>…" with the
/// beginning of the body, or where it sends to: "308, a redirect to https://login.example/".
std::string describe(const Response& response, std::size_t shown_of_body = 200);

}  // namespace builder::adapters::http
