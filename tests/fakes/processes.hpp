#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

namespace builder::fakes {

/// A process of this machine as /proc shows it. What has ended meanwhile has empty texts.
struct SeenProcess {
  std::string id;
  std::string command_line;  ///< Arguments with a NUL behind each.
  std::string environment;
};

/// To read a stream's buffer by an iterator would throw where the process ends meanwhile; a thread
/// of a test that throws ends the program.
inline std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

inline std::vector<SeenProcess> processes() {
  std::vector<SeenProcess> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry("/proc", error), end; !error && entry != end;
       entry.increment(error)) {
    const std::filesystem::path& path = entry->path();
    if (const std::string id = path.filename(); id.find_first_not_of("0123456789") == id.npos) {
      found.push_back({.id = id,
                       .command_line = text_of(path / "cmdline"),
                       .environment = text_of(path / "environ")});
    }
  }
  return found;
}

}  // namespace builder::fakes
