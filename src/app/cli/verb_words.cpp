#include "app/cli/verb_words.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

namespace builder::app::cli {

namespace {

/// CLI11 puts type and checks into one text: `TEXT`, `TEXT:FILE`, `TEXT:{auto,plain}`. A colon
/// behind a bracket is the type's own: `NAME[:TAG]`.
void read_type(const std::string& type, OptionWords& words) {
  const auto first = type.find_first_of("[:");
  const auto colon = first == std::string::npos || type[first] == '[' ? std::string::npos : first;
  std::string_view check =
      colon == std::string::npos ? std::string_view() : std::string_view(type).substr(colon + 1);
  words.value = type.substr(0, colon);
  if (check.starts_with('{') && check.ends_with('}')) {
    check = check.substr(1, check.size() - 2);
    while (!check.empty()) {
      const auto comma = std::min(check.find(','), check.size());
      words.choices.emplace_back(check.substr(0, comma));
      check.remove_prefix(std::min(comma + 1, check.size()));
    }
  } else if (check == "FILE" || check == "DIR" || check.starts_with("PATH")) {
    words.value = check.substr(0, check.find('('));
  }
}

}  // namespace

OptionWords words_of(const CLI::Option& option) {
  OptionWords words{.help = option.get_description(), .required = option.get_required()};
  for (const std::string& name : option.get_snames()) {
    words.names.push_back("-" + name);
  }
  for (const std::string& name : option.get_lnames()) {
    words.names.push_back("--" + name);
  }
  if (option.get_positional() || option.get_items_expected_max() > 0) {
    read_type(option.get_type_name(), words);
  }
  return words;
}

std::string VerbWords::name() const {
  return fmt::format("{}", fmt::join(path, " "));
}

VerbWords words_of(const CLI::App& app, std::vector<std::string> path) {
  VerbWords verb{
      .path = std::move(path), .what = app.get_description(), .footer = app.get_footer()};
  for (const CLI::Option* option : app.get_options()) {
    OptionWords words = words_of(*option);
    if (option->get_positional()) {
      words.names = {option->get_name(true)};
      verb.positionals.push_back(std::move(words));
    } else {
      verb.options.push_back(std::move(words));
    }
  }
  for (const CLI::App* inner : app.get_subcommands([](const CLI::App*) { return true; })) {
    std::vector<std::string> inner_path = verb.path;
    inner_path.push_back(inner->get_name());
    verb.verbs.push_back(words_of(*inner, std::move(inner_path)));
  }
  return verb;
}

std::vector<const VerbWords*> all_verbs(const VerbWords& verb) {
  std::vector<const VerbWords*> all{&verb};
  for (const VerbWords& inner : verb.verbs) {
    std::ranges::copy(all_verbs(inner), std::back_inserter(all));
  }
  return all;
}

}  // namespace builder::app::cli
