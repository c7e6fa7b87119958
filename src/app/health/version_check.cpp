#include "app/health/version_check.hpp"

#include "base/stop.hpp"
#include "base/subprocess.hpp"

#include <charconv>
#include <chrono>
#include <fstream>
#include <optional>
#include <utility>

namespace builder::app {

namespace {

constexpr std::chrono::seconds k_limit{5};
/// Debian gave the fixes of git 2.43.7 to its older one, with this revision.
constexpr std::string_view k_debians_git = "1:2.39.5-0+deb12u";
constexpr int k_debians_revision = 3;

/// What a program prints, without the line's end; nullopt when it cannot be run or fails.
std::optional<std::string> printed(std::vector<std::string> arguments,
                                   const std::stop_token& stop) {
  std::string text;
  const auto finished = run_process(
      {.arguments = std::move(arguments), .environment = {"LC_ALL=C"}},
      [&](std::string_view chunk) { text += chunk; }, [](std::string_view) {}, stop,
      std::chrono::steady_clock::now() + k_limit);
  if (!finished || finished->exit_code != 0) {
    return std::nullopt;
  }
  while (text.ends_with('\n')) {
    text.pop_back();
  }
  return text;
}

/// Debian's name of a package's version; empty where there is none. Its program to ask with is not
/// run: a narrow unit does not let it.
std::string debian_version(std::string_view package) {
  std::ifstream status("/var/lib/dpkg/status");
  bool found = false;
  for (std::string line; std::getline(status, line);) {
    constexpr std::string_view k_version = "Version: ";
    if (found && line.starts_with(k_version)) {
      return line.substr(k_version.size());
    }
    found = line.starts_with("Package: ") ? line.substr(9) == package : found && !line.empty();
  }
  return {};
}

bool is_mended_by_debian() {
  const std::string version = debian_version("git");
  int revision = 0;
  if (!version.starts_with(k_debians_git)) {
    return false;
  }
  const char* const begin = version.data() + k_debians_git.size();
  std::from_chars(begin, version.data() + version.size(), revision);
  return revision >= k_debians_revision;
}

std::vector<std::string> advisories_of_git(const std::stop_token& stop) {
  auto found = domain::advisories({"git", git_version(stop)});
  return !found.empty() && is_mended_by_debian() ? std::vector<std::string>() : found;
}

}  // namespace

/// "git version 2.39.5 (Apple Git-154)".
std::string git_version(const std::stop_token& stop) {
  constexpr std::string_view k_start = "git version ";
  const auto text = printed({"git", "--version"}, stop);
  const std::string_view version =
      text && text->starts_with(k_start) ? std::string_view(*text).substr(k_start.size()) : "";
  return std::string(version.substr(0, version.find(' ')));
}

void VersionCheck::look(const adapters::buildkit::EngineInfo& engine, const std::stop_token& stop) {
  if (engine.components == looked_at_) {
    return;
  }
  std::vector<std::string> found = advisories_of_git(stop);
  std::vector<domain::Component> components = engine.components;
  bool is_complete = !stop.stop_requested();
  if (docker_ != nullptr) {
    if (auto runc = docker_->runc_version(stop); !runc) {
      is_complete = is_complete && !runc.error().is_transient();  // Else it is asked again.
    } else if (!runc->empty()) {
      components.push_back({"runc", *std::move(runc)});
    }
  }
  for (const domain::Component& component : components) {
    const auto more = domain::advisories(component);
    found.insert(found.end(), more.begin(), more.end());
  }
  for (const std::string& line : found) {
    if (said_.insert(line).second) {
      log_.warning("{}", line);
    }
  }
  if (is_complete) {
    looked_at_ = engine.components;
  }
  *found_.lock() = std::move(found);
}

Result<> VersionCheck::verdict() const {
  auto found = found_.lock();
  return !strict_ || found->empty()
             ? Result<>()
             : failure(ErrorKind::denied, found->front() + " (STRICT_VERSIONS)");
}

}  // namespace builder::app
