#include "app/host/admission.hpp"

#include "base/size.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace builder::app {

namespace {

/// What was short is well again with so much more than was asked for, or so much less pressure.
constexpr double k_recovered_space = 1.1;
constexpr double k_recovered_pressure = 0.75;
/// Files that can still be made: a share, and never more than any build needs.
constexpr std::uint64_t k_inode_share = 20;
constexpr std::uint64_t k_most_inodes = 200'000;

std::uint64_t times(std::uint64_t value, double factor) {
  return static_cast<std::uint64_t>(static_cast<double>(value) * factor);
}

std::optional<double> parse_percent(std::string_view text) {
  double value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  const bool fits =
      error == std::errc() && std::string_view(stopped, end) == "%" && value >= 0 && value <= 90;
  return fits ? std::optional(value) : std::nullopt;
}

}  // namespace

std::uint64_t FreeFloor::of(std::uint64_t total) const {
  const std::uint64_t share = percent ? times(total, *percent / 100) : total;
  return percent || bytes ? std::min(share, bytes.value_or(share)) : 0;
}

std::optional<FreeFloor> parse_free_floor(std::string_view text) {
  FreeFloor floor;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    if (const auto percent = parse_percent(part); percent && !floor.percent) {
      floor.percent = percent;
    } else if (const auto size = parse_size(part); size && !floor.bytes) {
      floor.bytes = size;
    } else {
      return std::nullopt;
    }
  }
  return floor;
}

void Admission::judge(State& state, const std::string& what, bool is_short, bool is_well,
                      const std::string& words) {
  if (is_short) {
    state.refusals.try_emplace(what, words);
  } else if (is_well) {
    state.refusals.erase(what);
  }
}

void Admission::look_at_disk(State& state, const DiskState& disk) const {
  const std::uint64_t floor = rules_.min_free_disk.of(disk.total);
  const std::uint64_t well = times(floor, k_recovered_space);
  judge(
      state, "disk of " + disk.name, disk.free < floor, disk.free >= well,
      fmt::format("{} of {} are free on the disk of {}, MIN_FREE_DISK asks for {}",
                  format_size(disk.free), format_size(disk.total), disk.name, format_size(floor)));
  state.critical = state.critical || disk.free < floor / 2;
  state.missing[disk.name] = disk.free < floor ? well - disk.free : 0;

  const std::uint64_t inodes =
      floor == 0 ? 0 : std::min(disk.total_inodes / k_inode_share, k_most_inodes);
  judge(state, "inodes of " + disk.name, disk.free_inodes < inodes,
        disk.free_inodes >= times(inodes, k_recovered_space),
        fmt::format("only {} more files can be made on the disk of {} (inodes), {} are asked for",
                    disk.free_inodes, disk.name, inodes));
  state.critical = state.critical || disk.free_inodes < inodes / 2;
}

void Admission::look(const HostState& host) {
  auto state = state_.lock();
  state->critical = false;
  for (const DiskState& disk : host.disks) {
    look_at_disk(*state, disk);
  }
  // A disk that can no longer be seen refuses nothing.
  std::erase_if(state->refusals, [&](const auto& refusal) {
    const auto of = refusal.first.find(" of ");
    return of != std::string::npos && std::ranges::find(host.disks, refusal.first.substr(of + 4),
                                                        &DiskState::name) == host.disks.end();
  });
  const auto look_at_pressure = [&](const std::string& what, std::optional<double> now, int most,
                                    const char* setting) {
    if (most == 0 || !now) {
      return;
    }
    judge(*state, what, *now > most, *now < most * k_recovered_pressure,
          fmt::format("processes of this host waited for {} in {:.0f} % of the last 10 s, {} "
                      "allows {} %",
                      what, *now, setting, most));
  };
  look_at_pressure("memory", host.memory_pressure, rules_.max_memory_pressure,
                   "MAX_MEMORY_PRESSURE");
  look_at_pressure("io", host.io_pressure, rules_.max_io_pressure, "MAX_IO_PRESSURE");
}

std::string Admission::refusal() const {
  std::string text;
  auto state = state_.lock();
  for (const auto& [what, words] : state->refusals) {
    text += (text.empty() ? "" : "; ") + words;
  }
  return text;
}

bool Admission::critical() const {
  return state_.lock()->critical;
}

std::uint64_t Admission::missing(const std::string& disk) const {
  auto state = state_.lock();
  const auto found = state->missing.find(disk);
  return found == state->missing.end() ? 0 : found->second;
}

std::set<std::string> Admission::short_of() const {
  std::set<std::string> names;
  auto state = state_.lock();
  for (const auto& [what, words] : state->refusals) {
    names.insert(what.substr(0, what.find(' ')));
  }
  return names;
}

}  // namespace builder::app
