#pragma once

#include "base/result.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::ecr {

using Environment = std::function<std::optional<std::string>(std::string_view)>;

/// The settings of one profile, by their names in lower case.
using Profile = std::map<std::string, std::string, std::less<>>;
using Profiles = std::map<std::string, Profile, std::less<>>;

/// The INI of `~/.aws/credentials` (`[name]`) or of `~/.aws/config` (`[profile name]`,
/// `[default]`).
Profiles parse_profiles(std::string_view text, bool is_config);

/// The shared credentials and config files: where they are, and what they are like now.
struct ProfileFiles {
  std::string credentials;  ///< Paths; empty: there is no home to look in.
  std::string config;
};

ProfileFiles profile_files(const Environment& environment);
/// Changes when a file does.
std::string stamp_of(const ProfileFiles& files);
/// Read now: what both say of a profile; the credentials file wins. Nullopt: neither names it.
std::optional<Profile> read_profile(const ProfileFiles& files, std::string_view name);

/// AWS_PROFILE, AWS_DEFAULT_PROFILE, or empty.
std::string chosen_profile(const Environment& environment);
/// The region of the chosen profile, or of the default one; empty: none is named.
std::string profile_region(const Environment& environment);

/// The words of a command as a shell would split them: blanks, quotes, backslashes. `invalid_input`
/// for a quote that is not closed.
Result<std::vector<std::string>> split_command(std::string_view text);

}  // namespace builder::adapters::ecr
