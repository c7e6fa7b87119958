#include "app/cli/replayed.hpp"

#include "adapters/oci/reference.hpp"
#include "app/config/config.hpp"
#include "base/iso_time.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

namespace builder::app::cli {

namespace {

using domain::LogType;

std::string joined(const std::vector<std::string>& names) {
  return printable_line(fmt::format("{}", fmt::join(names, ", ")));
}

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::ranges::find(names, name) != names.end();
}

void add_once(std::vector<std::string>& names, const std::string& name) {
  if (!contains(names, name)) {
    names.push_back(name);
  }
}

}  // namespace

Replayed replayed(const ports::KeptRunDetails& run, const std::vector<std::string>& given,
                  Bases bases) {
  const ports::RunStart& start = run.run.start;
  Replayed replay{.deployment = start.deployment.str(),
                  .attempt = start.attempt,
                  .worker = start.worker,
                  .started = run.run.started,
                  .outcome = run.run.end.outcome,
                  .digest = run.run.end.digest};
  for (const std::string& name : start.variables) {
    add_once(contains(given, name) ? replay.given : replay.missing, name);
  }
  for (const std::string& name : given) {
    if (!contains(start.variables, name)) {
      add_once(replay.added, name);
    }
  }
  for (const auto& [name, value] : start.settings) {
    if (is_image_setting(name)) {
      replay.settings.emplace_back(name, value);
    }
  }
  for (const auto& [reference, digest] : run.bases) {
    // Another worker's history may say anything.
    if (bases == Bases::of_then && adapters::oci::parse_reference(reference) && is_digest(digest)) {
      replay.pins.insert_or_assign(reference, digest);  // An attempt may have met a newer one.
    }
  }
  for (const auto& [reference, digest] : run.bases) {
    if (adapters::oci::parse_reference(reference) && !replay.pins.contains(reference)) {
      add_once(replay.unpinned, reference);
    }
  }
  return replay;
}

std::vector<domain::Message> replay_messages(const Replayed& replay) {
  std::vector<domain::Message> messages;
  const auto tell = [&](LogType type, std::string text) {
    messages.push_back({.type = type, .text = std::move(text)});
  };
  tell(LogType::info, fmt::format("Replaying {}: attempt {} on {} at {}, which was {}",
                                  replay.deployment, replay.attempt, printable_line(replay.worker),
                                  iso_time(replay.started), printable_line(replay.outcome)));
  if (replay.given.empty() && replay.missing.empty()) {
    tell(LogType::info, "It had no variables");
  }
  if (!replay.given.empty()) {
    tell(LogType::info, "Of its variables these are given: " + joined(replay.given));
  }
  if (!replay.missing.empty()) {
    tell(LogType::warning,
         fmt::format("Of its variables these are not given, and a history holds no values: {} "
                     "(--env, --env-file)",
                     joined(replay.missing)));
  }
  if (!replay.added.empty()) {
    tell(LogType::warning,
         "These variables are given, but it did not have them: " + joined(replay.added));
  }
  if (replay.settings.empty()) {
    tell(LogType::warning,
         "The history does not tell the settings of its worker, so those of here count");
  }
  std::vector<std::string> settings;
  for (const auto& [name, value] : replay.settings) {
    settings.push_back(name + "=" + value);
  }
  if (!settings.empty()) {
    tell(LogType::info, "With the settings of its worker: " + joined(settings));
  }
  for (const auto& [name, digest] : replay.pins) {
    tell(LogType::info, fmt::format("With {}@{}", printable_line(name), digest));
  }
  if (replay.pins.empty() && replay.unpinned.empty()) {
    // As of a deployment that needed no build.
    tell(LogType::warning,
         "The history names no image that it was made of: what the Dockerfile names is taken as it "
         "is now");
  }
  if (!replay.unpinned.empty()) {
    tell(LogType::warning, "These images are taken as they are now: " + joined(replay.unpinned));
  }
  return messages;
}

nlohmann::ordered_json replay_json(const Replayed& replay) {
  const auto named = [](const auto& pairs, const char* second) {
    auto list = nlohmann::ordered_json::array();
    for (const auto& [name, value] : pairs) {
      list.push_back({{"name", printable_line(name)}, {second, printable_line(value)}});
    }
    return list;
  };
  const auto words = [](const std::vector<std::string>& names) {
    auto list = nlohmann::ordered_json::array();
    for (const std::string& name : names) {
      list.push_back(printable_line(name));
    }
    return list;
  };
  return {{"deployment", replay.deployment},
          {"attempt", replay.attempt},
          {"worker", printable_line(replay.worker)},
          {"started", iso_time(replay.started)},
          {"outcome", printable_line(replay.outcome)},
          {"digest", printable_line(replay.digest)},
          {"given", words(replay.given)},
          {"missing", words(replay.missing)},
          {"added", words(replay.added)},
          {"settings", named(replay.settings, "value")},
          {"pins", named(replay.pins, "digest")},
          {"unpinned", words(replay.unpinned)}};
}

}  // namespace builder::app::cli
