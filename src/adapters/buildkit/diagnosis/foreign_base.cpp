#include "adapters/buildkit/diagnosis/foreign_base.hpp"

#include "adapters/oci/reference.hpp"
#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "domain/customer_line.hpp"
#include "domain/platform_name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

constexpr std::size_t k_shown_name = 70;
constexpr std::size_t k_shown_platform = 24;

std::string shown(std::string_view platform) {
  return printable_line(platform, k_shown_platform);
}

/// Whether programs of one platform run on the other. Every amd64 runs those of 386; not every
/// arm64 runs those of arm.
bool runs_on(std::string_view program, std::string_view machine) {
  return domain::is_same_machine(program, machine) ||
         (domain::is_same_machine(machine, "linux/amd64") &&
          domain::is_same_machine(program, "linux/386"));
}

constexpr std::string_view k_scratch = "scratch";

using KnownValues = std::map<std::string, std::string>;

/// `$A`, `${A}` and `${A:-b}`, without quotes; nullopt: anything else, or a variable that nobody
/// has set.
std::optional<std::string> expanded(std::string_view word, const KnownValues& variables) {
  constexpr std::size_t k_longest = 4'096;
  std::string out;
  while (!word.empty() && out.size() <= k_longest) {
    const char c = word.front();
    word.remove_prefix(1);
    if (c == '"' || c == '\'') {
      continue;
    }
    if (c != '$') {
      out += c;
      continue;
    }
    const bool is_braced = word.starts_with('{');
    word.remove_prefix(is_braced ? 1 : 0);
    const auto end = std::ranges::find_if_not(word, is_of_variable);
    const auto known = variables.find(std::string(word.begin(), end));
    word = std::string_view(end, word.end());
    std::string_view otherwise;
    if (is_braced) {
      const std::size_t close = word.find('}');
      otherwise = word.substr(0, close);
      if (close == std::string_view::npos || otherwise.contains('$') ||
          (!otherwise.empty() && !otherwise.starts_with(":-"))) {
        return std::nullopt;
      }
      word.remove_prefix(close + 1);
    }
    if (known != variables.end() && (otherwise.empty() || !known->second.empty())) {
      out += known->second;
    } else if (!otherwise.empty()) {
      out += otherwise.substr(2);
    } else {
      return std::nullopt;
    }
  }
  return out.size() > k_longest ? std::nullopt : std::optional(std::move(out));
}

/// What a FROM may use: the ARGs before the first one, and what the frontend sets itself.
KnownValues variables_of(const Dockerfile& dockerfile, std::string_view platform,
                         const std::map<std::string, std::string>& given) {
  KnownValues variables;
  std::string_view rest = platform;
  for (const char* name : {"TARGETOS", "TARGETARCH", "TARGETVARIANT"}) {
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    variables[name] = rest.substr(0, slash);
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  variables["TARGETPLATFORM"] = platform;
  for (const Instruction& instruction : dockerfile.instructions()) {
    if (instruction.keyword != "ARG") {
      break;
    }
    for (const std::string& word : parts_of(instruction.text).words) {
      const std::size_t equals = word.find('=');
      const std::string name = word.substr(0, equals);
      if (const auto other = given.find(name); other != given.end()) {
        variables[name] = other->second;
      } else if (equals != std::string::npos) {
        if (auto value = expanded(std::string_view(word).substr(equals + 1), variables)) {
          variables[name] = *std::move(value);
        } else {
          variables.erase(name);
        }
      }
    }
  }
  return variables;
}

std::string engines_name(const std::string& image) {
  const auto reference = oci::parse_reference(image);
  return reference ? oci::for_engine(*reference) : image;
}

}  // namespace

std::optional<LookedUpImage> looked_up_image(std::string_view step, std::string_view only) {
  constexpr std::string_view k_mark = "internal] load metadata for ";
  const std::size_t mark = step.find(k_mark);
  if (!step.starts_with('[') || mark == std::string_view::npos) {
    return std::nullopt;
  }
  std::string_view platform = step.substr(1, mark - 1);
  platform = platform.empty() ? only : platform.substr(0, platform.find(' '));
  LookedUpImage image{.platform = std::string(platform),
                      .name = std::string(step.substr(mark + k_mark.size()))};
  return domain::platform_list_fault(image.platform).empty() && !image.platform.contains(',') &&
                 !image.name.empty() && !image.name.contains(' ')
             ? std::optional(std::move(image))
             : std::nullopt;
}

ForeignBases::ForeignBases(std::string file, std::string_view text, std::string_view target,
                           const std::vector<std::string>& platforms,
                           const std::map<std::string, std::string>& given)
    : file_(std::move(file)), dockerfile_(text) {
  for (const std::string& platform : platforms) {
    readings_.push_back(read(target, platform, given));
  }
}

ForeignBases::Reading ForeignBases::read(std::string_view target, const std::string& platform,
                                         const std::map<std::string, std::string>& given) const {
  Reading reading{.platform = platform, .froms = {}, .last = {}};
  const KnownValues variables = variables_of(dockerfile_, platform, given);
  std::map<std::string, std::size_t> stages;
  for (const Instruction& instruction : dockerfile_.instructions()) {
    if (instruction.keyword != "FROM") {
      continue;
    }
    From from{.line = instruction.lines.first,
              .stage = instruction.stage,
              .image = expanded(named_images(instruction).front(), variables),
              .flag = {},
              .asked = {},
              .base = {}};
    for (const std::string& flag : parts_of(instruction.text).flags) {
      if (flag.starts_with(k_platform_flag)) {
        from.flag = flag.substr(k_platform_flag.size());
        from.asked = expanded(from.flag, variables);
      }
    }
    // A stage can only be made of one before it.
    if (const auto base = stages.find(from.image ? lower_case(*from.image) : std::string());
        base != stages.end()) {
      from.base = base->second;
    }
    stages[from.stage] = reading.froms.size();
    if (from.image && *from.image != k_scratch) {
      from.image = engines_name(*from.image);
    }
    reading.froms.push_back(std::move(from));
  }
  const From* last = nullptr;
  for (const From& from : reading.froms) {
    if (target.empty() || from.stage == lower_case(target)) {
      last = &from;
    }
  }
  while (last != nullptr && last->base) {
    last = &reading.froms[*last->base];
  }
  if (last != nullptr) {
    reading.last = *last;
  }
  return reading;
}

std::optional<ForeignBases::Finding> ForeignBases::judge(const LookedUpImage& image,
                                                         std::string_view found) const {
  if (found.empty() || runs_on(found, image.platform) || readings_.empty()) {
    return std::nullopt;
  }
  const auto own = std::ranges::find_if(readings_, [&](const Reading& reading) {
    return domain::is_same_machine(reading.platform, image.platform);
  });
  const Reading& reading = own == readings_.end() ? readings_.front() : *own;
  const auto& last = reading.last;
  const auto takes_it = [&image](const From& from) {
    return from.flag.empty() ||
           (from.asked && domain::is_same_machine(*from.asked, image.platform));
  };
  const bool spoils_result =
      own != readings_.end() && last && last->image == image.name && takes_it(*last);
  const From* from = spoils_result ? &*last : nullptr;
  for (const From& other : reading.froms) {
    if (from == nullptr && other.image == image.name && takes_it(other)) {
      from = &other;
    }
  }
  if (from == nullptr && last && !last->image && takes_it(*last)) {
    from = &*last;
  }
  if (from == nullptr) {
    return std::nullopt;
  }
  const std::string what =
      fmt::format("{}:{}: base image \"{}\" is for {}", printable_columns(file_), from->line,
                  printable_line(image.name, k_shown_name), shown(found));
  return Finding{
      .spoils_result = spoils_result,
      .line = truncate_characters(
          spoils_result ? fmt::format("{} alone, and {} is built of it as well; use one for both",
                                      what, shown(image.platform))
                        : fmt::format("{}, not {}: its programs may not run there", what,
                                      shown(image.platform)),
          domain::k_customer_limit)};
}

std::string ForeignBases::foreign_flag(std::string_view engine) const {
  for (const Reading& reading : readings_) {
    const auto& last = reading.last;
    if (!last || last->flag.empty() || last->image == k_scratch) {
      continue;
    }
    const bool is_engines = last->flag.contains("BUILDPLATFORM");
    const std::string asked(is_engines ? engine : last->asked.value_or(""));
    if (!asked.empty() && !runs_on(asked, reading.platform)) {
      return truncate_characters(
          fmt::format("{}:{}: --platform={} makes the image for {} of a base for {}; remove the "
                      "flag",
                      printable_columns(file_), last->line, shown(last->flag),
                      shown(reading.platform), shown(asked)),
          domain::k_customer_limit);
    }
  }
  return {};
}

std::string ForeignBases::platform_of(const Instruction* run, std::string_view machine) const {
  const Reading& reading = readings_.front();
  const Instruction* stage = run == nullptr ? nullptr : dockerfile_.stage_of(*run);
  const auto own = std::ranges::find_if(reading.froms, [stage](const From& from) {
    return stage != nullptr && from.line == stage->lines.first;
  });
  if (own == reading.froms.end()) {
    const bool is_plain = std::ranges::all_of(reading.froms, &std::string::empty, &From::flag);
    return is_plain ? reading.platform : std::string();
  }
  const From* from = &*own;
  while (from->flag.empty() && from->base) {
    from = &reading.froms[*from->base];
  }
  if (from->flag.empty()) {
    return reading.platform;
  }
  return from->flag.contains("BUILDPLATFORM") ? std::string(machine) : from->asked.value_or("");
}

std::string ForeignBases::foreign_run(std::string_view step, std::string_view machine) const {
  const std::size_t bracket = step.starts_with('[') ? step.find("] ") : std::string_view::npos;
  if (bracket == std::string_view::npos || readings_.empty() || machine.empty()) {
    return {};
  }
  std::string_view command = step.substr(bracket + 2);
  if (command.starts_with("ONBUILD ")) {
    command.remove_prefix(8);
  }
  if (!command.starts_with("RUN ")) {
    return {};
  }
  const Instruction* run = dockerfile_.find_step(step).instruction;
  // `linux/amd64`, or `linux/amd64->arm64` of a stage that is not for the platform of the result.
  std::string_view named = step.substr(1, std::min(step.find(' '), bracket) - 1);
  named = named.substr(0, named.find("->"));
  const bool is_named = !named.contains(',') && domain::platform_list_fault(named).empty();
  const std::string platform = is_named ? std::string(named) : platform_of(run, machine);
  if (platform.empty() || runs_on(platform, machine)) {
    return {};
  }
  return truncate_characters(
      fmt::format("{}{}RUN for {} needs emulation, which is off here (the build machine is {}); "
                  "use a stage FROM --platform=$BUILDPLATFORM",
                  printable_columns(file_),
                  run == nullptr ? ": " : fmt::format(":{}: ", run->lines.first), shown(platform),
                  shown(machine)),
      domain::k_customer_limit);
}

}  // namespace builder::adapters::buildkit
