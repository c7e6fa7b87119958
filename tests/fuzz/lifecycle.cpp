// What a lifecycle says and leaves behind, which customers' code may have written, is read or
// refused with a short line.
#include "domain/buildpacks/builder_image.hpp"
#include "domain/buildpacks/ignore_rules.hpp"
#include "domain/buildpacks/lifecycle_exit.hpp"
#include "domain/buildpacks/lifecycle_output.hpp"
#include "domain/buildpacks/result.hpp"

#include "fuzz/target.hpp"

#include <algorithm>

namespace {

using namespace builder;
using namespace builder::domain::buildpacks;

void check(const Error& error) {
  fuzz::expect(!error.customer.empty() && error.customer.size() <= 191,
               "no short line for the customer: " + error.customer);
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    lines.emplace_back(line);
  }
  return lines;
}

}  // namespace

BUILDER_FUZZ(lifecycle) {
  const int code = static_cast<int>(fuzz::take_byte(input));
  const auto lines = lines_of(input);
  LifecycleReader reader;
  for (const std::string& line : lines) {
    static_cast<void>(reader.read(line));
  }
  const BuildTrace& trace = reader.trace();
  fuzz::expect(trace.taking_part.size() + trace.failed_detect.size() + trace.errors.size() <=
                   3 * lines.size(),
               "the trace is longer than what was said");
  if (code != 0) {
    check(explain_exit(code, trace).error);
  }
  static_cast<void>(read_report(input));
  static_cast<void>(read_group(input));
  static_cast<void>(read_processes(input));
  if (const auto image = read_builder_image(input, "builder:1"); !image) {
    check(image.error());
  } else {
    fuzz::expect(image->user_id != 0 && image->group_id != 0, "a builder that is root");
    static_cast<void>(choose_platform_api(*image, "builder:1"));
    static_cast<void>(run_image_candidates(*image, "registry.example"));
  }
  IgnoreRules rules(lines);
  domain::MatchingBudget budget;
  IgnoreRules::Folder folder;
  static_cast<void>(rules.matches(input.substr(0, 200), {}, &folder, budget));
  static_cast<void>(
      rules.matches(std::string(input.substr(0, 200)) + "/a", folder, nullptr, budget));
}
