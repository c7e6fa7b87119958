#include "app/doctor/checks.hpp"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace builder::app {

namespace {

constexpr const char* k_unit = "deployra-builder.service";
/// In systemd's order of precedence (systemd.unit(5)).
constexpr std::array k_folders{"/etc/systemd/system", "/run/systemd/system",
                               "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                               "/lib/systemd/system"};

std::optional<std::string> unit_file() {
  std::error_code error;
  for (const char* folder : k_folders) {
    std::string path = fmt::format("{}/{}", folder, k_unit);
    if (std::filesystem::exists(path, error)) {
      return path;
    }
  }
  return std::nullopt;
}

/// The last value of a setting of the unit, its drop-ins included; empty: none. Quotes and
/// continued lines are not read: what is asked for here has neither.
std::string setting_of_unit(const std::string& unit, std::string_view name) {
  std::vector<std::string> files{unit};
  std::error_code error;
  for (auto folder = k_folders.rbegin(); folder != k_folders.rend(); ++folder) {
    std::vector<std::string> drop_ins;
    for (const auto& entry :
         std::filesystem::directory_iterator(fmt::format("{}/{}.d", *folder, k_unit), error)) {
      if (entry.path().extension() == ".conf") {
        drop_ins.push_back(entry.path().string());
      }
    }
    std::ranges::sort(drop_ins);
    files.insert(files.end(), drop_ins.begin(), drop_ins.end());
  }
  std::string value;
  for (const std::string& path : files) {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(name) && line.substr(name.size()).starts_with('=')) {
        value = line.substr(name.size() + 1);
      }
    }
  }
  return value;
}

}  // namespace

void check_service(const Circumstances& /*now*/, Report& report) {
  constexpr const char* k_what = "systemd";
  constexpr const char* k_cure =
      "install packaging/deployra-builder.service, or have something else start it again when it "
      "ends";
  if (::sd_booted() <= 0) {
    report.ok(k_what,
              "it does not run this machine (a container?): whatever starts the worker has to "
              "start it again");
    return;
  }
  const auto unit = unit_file();
  if (!unit) {
    report.warning(k_what, fmt::format("there is no {}", k_unit), {.cure = k_cure});
    return;
  }
  std::error_code error;
  // systemd keeps this link as long as the unit runs.
  const bool is_running = std::filesystem::is_symlink(std::filesystem::symlink_status(
      fmt::format("/run/systemd/units/invocation:{}", k_unit), error));
  const std::string watchdog = setting_of_unit(*unit, "WatchdogSec");
  if (watchdog.empty() || watchdog == "0") {
    report.warning("watchdog", *unit + " has none: a worker that hangs is not started again",
                   {.cure = "WatchdogSec=60 in the unit"});
  } else {
    report.ok("watchdog", "WatchdogSec=" + watchdog);
  }
  if (is_running) {
    report.ok(k_what, *unit + " runs");
  } else {
    report.warning(k_what, *unit + " does not run",
                   {.cure = fmt::format("systemctl enable --now {}", k_unit)});
  }
}

}  // namespace builder::app
