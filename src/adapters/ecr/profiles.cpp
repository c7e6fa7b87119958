#include "adapters/ecr/profiles.hpp"

#include "base/ascii.hpp"

#include <fmt/format.h>

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <utility>

namespace builder::adapters::ecr {
namespace {

constexpr std::size_t k_largest_profiles = 1U << 20U;

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(file ? k_largest_profiles : 0, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

std::string variable(const Environment& environment, std::string_view name) {
  return environment ? environment(name).value_or("") : std::string();
}

std::string path_of(const Environment& environment, std::string_view name, const char* standard) {
  const std::string home = variable(environment, "HOME");
  std::string path = variable(environment, name);
  if (path.starts_with("~/") && !home.empty()) {
    path = home + path.substr(1);
  }
  return !path.empty() || home.empty() ? path : home + standard;
}

/// The profile a heading opens; empty: none (`[sso-session x]`, `[services x]`).
std::string_view profile_of(std::string_view heading, bool is_config) {
  constexpr std::string_view k_profile = "profile";
  if (is_config && heading != "default") {
    if (!heading.starts_with(k_profile) || heading.size() == k_profile.size() ||
        (heading[k_profile.size()] != ' ' && heading[k_profile.size()] != '\t')) {
      return {};
    }
    heading = trimmed(heading.substr(k_profile.size()));
  }
  if (heading.size() >= 2 && (heading.front() == '"' || heading.front() == '\'') &&
      heading.back() == heading.front()) {
    heading = heading.substr(1, heading.size() - 2);
  }
  return heading;
}

}  // namespace

Profiles parse_profiles(std::string_view text, bool is_config) {
  Profiles profiles;
  Profile* current = nullptr;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view raw = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::string_view line = trimmed(raw);
    if (line.empty() || line.front() == '#' || line.front() == ';') {
      continue;
    }
    if (line.front() == '[') {
      const auto name =
          profile_of(trimmed(line.substr(1, std::min(line.find(']'), line.size()) - 1)), is_config);
      current = name.empty() ? nullptr : &profiles[std::string(name)];
      continue;
    }
    const auto equals = line.find('=');
    // Indented lines are sub-keys of a setting of no interest here.
    if (current == nullptr || equals == std::string_view::npos || raw.front() == ' ' ||
        raw.front() == '\t') {
      continue;
    }
    (*current)[lower_case(trimmed(line.substr(0, equals)))] = trimmed(line.substr(equals + 1));
  }
  return profiles;
}

ProfileFiles profile_files(const Environment& environment) {
  return {.credentials = path_of(environment, "AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials"),
          .config = path_of(environment, "AWS_CONFIG_FILE", "/.aws/config")};
}

std::string stamp_of(const ProfileFiles& files) {
  std::string stamp;
  for (const std::string& path : {files.credentials, files.config}) {
    struct stat state{};
    if (!path.empty() && ::stat(path.c_str(), &state) == 0) {
      stamp += fmt::format("{} {} {} {}.{:09};", state.st_dev, state.st_ino, state.st_size,
                           state.st_mtim.tv_sec, state.st_mtim.tv_nsec);
    } else {
      stamp += "-;";
    }
  }
  return stamp;
}

std::optional<Profile> read_profile(const ProfileFiles& files, std::string_view name) {
  std::optional<Profile> profile;
  for (const bool is_config : {false, true}) {
    const std::string& path = is_config ? files.config : files.credentials;
    const Profiles profiles = path.empty() ? Profiles() : parse_profiles(read(path), is_config);
    if (const auto found = profiles.find(name); found != profiles.end()) {
      profile = profile.value_or(Profile());
      profile->insert(found->second.begin(), found->second.end());  // What is there stays.
    }
  }
  return profile;
}

std::string chosen_profile(const Environment& environment) {
  const std::string name = variable(environment, "AWS_PROFILE");
  return name.empty() ? variable(environment, "AWS_DEFAULT_PROFILE") : name;
}

std::string profile_region(const Environment& environment) {
  const std::string name = chosen_profile(environment);
  const auto profile = read_profile(profile_files(environment), name.empty() ? "default" : name);
  const auto region = profile ? profile->find("region") : Profile::const_iterator();
  return profile && region != profile->end() ? region->second : std::string();
}

Result<std::vector<std::string>> split_command(std::string_view text) {
  std::vector<std::string> words;
  bool inside = false;  // Of a word: "" is one, too.
  char quote = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    const bool is_blank = c == ' ' || c == '\t';
    if (quote == 0 && is_blank) {
      inside = false;
      continue;
    }
    if (!std::exchange(inside, true)) {
      words.emplace_back();
    }
    const bool escapes = c == '\\' && quote != '\'' && at + 1 < text.size() &&
                         (quote == 0 || text[at + 1] == '"' || text[at + 1] == '\\');
    if (escapes) {
      words.back() += text[++at];
    } else if (quote == 0 && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote && quote != 0) {
      quote = 0;
    } else {
      words.back() += c;
    }
  }
  if (quote != 0) {
    return failure(ErrorKind::invalid_input, "a quote is not closed");
  }
  return words;
}

}  // namespace builder::adapters::ecr
