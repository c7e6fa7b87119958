#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace builder::app {

using DotenvValues = std::map<std::string, std::string, std::less<>>;

/// `KEY=value` lines as systemd, docker and dotenv write them; quotes around a value are removed.
/// What cannot be read is told by the file's name and its line, without its content, which may be a
/// secret.
DotenvValues parse_dotenv(std::string_view content, std::string_view name,
                          std::vector<std::string>& warnings);

}  // namespace builder::app
