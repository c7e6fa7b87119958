#include "app/doctor/examination.hpp"

#include "app/doctor/checks.hpp"
#include "base/stop.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

namespace builder::app {

namespace {

constexpr std::string_view k_configuration = "configuration";

/// In the order of a first look: what the worker is told, whom it asks, where it lives.
constexpr std::array k_groups{k_configuration,
                              std::string_view("Redis"),
                              std::string_view("engine"),
                              std::string_view("API"),
                              std::string_view("AWS"),
                              std::string_view("registry"),
                              std::string_view("git"),
                              std::string_view("clock"),
                              std::string_view("host"),
                              std::string_view("service")};

/// The first setting that a text names.
std::string named_in(std::string_view text, const std::vector<EffectiveSetting>& settings) {
  const auto is_part = [](char c) { return c == '_' || (c >= 'A' && c <= 'Z'); };
  std::size_t first = std::string_view::npos;
  std::string found;
  for (const EffectiveSetting& setting : settings) {
    const std::size_t at = text.find(setting.name);
    const std::size_t end = at + setting.name.size();
    const bool is_whole = at != std::string_view::npos && (at == 0 || !is_part(text[at - 1])) &&
                          (end == text.size() || !is_part(text[end]));
    if (is_whole && at < first) {
      first = at;
      found = setting.name;
    }
  }
  return found;
}

}  // namespace

/// One check on its thread.
struct Examination::Running {
  Running(std::string group, const SecretStore& secrets) : report(std::move(group), secrets) {}

  void end() {
    const std::scoped_lock lock(mutex);
    over = true;
    changed.notify_all();
  }

  bool wait(SteadyTime until) {
    std::unique_lock lock(mutex);
    return changed.wait_until(lock, until, [this] { return over; });
  }

  Report report;
  std::mutex mutex;
  std::condition_variable changed;
  bool over = false;  ///< With the mutex.
  std::jthread thread;
};

Examination::Examination(const LoadedConfig& loaded, ExaminationSettings settings)
    : loaded_(loaded), settings_(settings), own_(std::string(k_configuration), secrets_) {
  secrets_.add_forever(secrets_of(loaded.config));
  examine_settings();
  begin("Redis", {Concern::queue}, check_redis);
  begin("engine", {Concern::build}, check_engine);
  begin("API", {Concern::platform}, check_platform);
  begin("registry", {Concern::registry}, check_registry);
  begin("git", {Concern::build}, check_git);
  begin("host", {Concern::build, Concern::worker}, check_host);
  begin("service", {}, check_service);
}

Examination::~Examination() {
  for (const auto& check : checks_) {
    check->thread.request_stop();
  }
}

void Examination::examine_settings() {
  for (const ConfigError& error : loaded_.errors) {
    own_.failure("settings", error.text,
                 {.cure = "mend the setting: the worker does not start with it"});
  }
  for (const std::string& warning : loaded_.warnings) {
    own_.warning("settings", warning, {});
  }
  if (loaded_.errors.empty() && loaded_.warnings.empty()) {
    const auto set = std::ranges::count_if(loaded_.settings, [](const EffectiveSetting& setting) {
      return setting.origin != "default";
    });
    own_.ok("settings", fmt::format("{} settings, {} of them set; `deployra-builder config` shows "
                                    "them",
                                    loaded_.settings.size(), set));
  }
}

void Examination::begin(std::string group, std::initializer_list<Concern> concerns, Check check) {
  auto& running =
      *checks_.emplace_back(std::make_unique<Running>(std::move(group), std::as_const(secrets_)));
  const bool is_wrong = std::ranges::any_of(loaded_.errors, [&](const ConfigError& error) {
    return std::ranges::find(concerns, error.concern) != concerns.end();
  });
  if (is_wrong) {
    running.report.not_tried("all", "its configuration is wrong");
    running.end();
    return;
  }
  running.thread = std::jthread([this, &running, check](const std::stop_token& stop) {
    try {
      check({.config = loaded_.config,
             .secrets = secrets_,
             .settings = settings_,
             .stop = stop,
             .deadline = started_ + settings_.patience},
            running.report);
    } catch (const std::exception& error) {
      running.report.failure("all", fmt::format("the check broke: {}", error.what()), {});
    }
    running.end();
  });
}

std::vector<Finding> Examination::findings() {
  const SteadyTime until = started_ + settings_.patience;
  for (const auto& check : checks_) {
    if (!check->wait(until)) {
      check->thread.request_stop();
    }
  }
  std::vector<Finding> all = own_.findings();
  for (const auto& check : checks_) {
    if (!check->wait(until + settings_.grace)) {
      check->report.failure("all",
                            fmt::format("no answer after {:.1f} s; what is above was found before",
                                        std::chrono::duration<double>(settings_.patience).count()),
                            {.cure = "look at the name server and the network of this machine"});
    }
    const std::vector<Finding> found = check->report.findings();
    all.insert(all.end(), found.begin(), found.end());
  }
  for (Finding& finding : all) {
    if (finding.state != State::ok && finding.setting.empty()) {
      finding.setting = named_in(finding.text, loaded_.settings);
    }
  }
  std::ranges::stable_sort(all, {}, [](const Finding& finding) {
    return std::ranges::find(k_groups, std::string_view(finding.group)) - k_groups.begin();
  });
  return all;
}

bool Examination::is_over() const {
  return std::ranges::all_of(checks_, [](const auto& check) {
    const std::scoped_lock lock(check->mutex);
    return check->over;
  });
}

}  // namespace builder::app
