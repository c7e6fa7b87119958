#include "app/cli/help_format.hpp"

#include "app/cli/verb_words.hpp"

#include <fmt/ranges.h>

namespace builder::app::cli {

std::string HelpFormat::make_option_opts(const CLI::Option* option) const {
  if (option->get_positional()) {
    return {};
  }
  const OptionWords words = words_of(*option);
  return !words.choices.empty() ? fmt::format(" {}", fmt::join(words.choices, "|"))
         : words.value.empty()  ? std::string()
                                : " " + words.value;
}

}  // namespace builder::app::cli
