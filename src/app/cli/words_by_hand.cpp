#include "app/cli/words_by_hand.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <variant>

namespace builder::app::cli {

namespace {

using Replacement = std::pair<std::string_view, std::string_view>;

constexpr std::array k_always = std::to_array<Replacement>({
    {"to build from it, set it as the Dockerfile path of the service",
     "--file names the one to build from"},
    {"set the Dockerfile path to", "use --file"},
    {"the platform writes it only when the service has variables",
     "it is written only with --env or --env-file"},
});

/// The longer ones first.
constexpr std::array k_of_a_folder = std::to_array<Replacement>({
    {"commit it to the repository", "put it into the folder"},
    {"; commit the file", "; put the file itself there"},
    {" in this commit", ""},
    {"the repository", "the folder"},
});

/// Outside of double quotes.
void replace(std::string& line, const Replacement& words) {
  bool is_quoted = false;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] == '"') {
      is_quoted = !is_quoted;
    } else if (!is_quoted && std::string_view(line).substr(at).starts_with(words.first)) {
      line.replace(at, words.first.size(), words.second);
      at += std::max<std::size_t>(words.second.size(), 1) - 1;
    }
  }
}

}  // namespace

std::string words_by_hand(std::string_view line, bool is_folder) {
  std::string words(line);
  for (const Replacement& one : k_always) {
    replace(words, one);
  }
  if (is_folder) {
    for (const Replacement& one : k_of_a_folder) {
      replace(words, one);
    }
  }
  return words;
}

void MessagesByHand::emit(domain::BuildEvent event) {
  // Errors quote the Dockerfile.
  if (auto* const message = std::get_if<domain::Message>(&event);
      message != nullptr && message->type != domain::LogType::error) {
    message->text = words_by_hand(message->text, is_folder_);
  }
  events_.emit(std::move(event));
}

}  // namespace builder::app::cli
