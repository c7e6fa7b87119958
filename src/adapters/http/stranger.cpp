#include "adapters/http/stranger.hpp"

#include "base/ascii.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

namespace builder::adapters::http {

namespace {

constexpr std::size_t k_longest_header = 200;

std::string shown_header(const Response& response, std::string_view name) {
  return printable_line(response.header(name).value_or("").substr(0, k_longest_header));
}

}  // namespace

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool is_page(const Response& response) {
  const auto first = response.body.find_first_not_of(" \t\r\n\xEF\xBB\xBF");
  return lower_case(response.header("Content-Type").value_or("")).starts_with("text/html") ||
         (first != std::string::npos && response.body[first] == '<');
}

std::string describe(const Response& response, std::size_t shown_of_body) {
  if (is_redirect(response.status)) {
    const std::string target = without_secrets(shown_header(response, "Location"));
    return fmt::format("{}, a redirect to {}", response.status,
                       target.empty() ? "nowhere" : target);
  }
  const std::string type = shown_header(response, "Content-Type");
  const std::string text = printable_line(response.body.substr(0, shown_of_body));
  return fmt::format("{}{}{}{}{}", response.status, type.empty() ? "" : " ", type,
                     text.empty() ? "" : ": ", text);
}

}  // namespace builder::adapters::http
