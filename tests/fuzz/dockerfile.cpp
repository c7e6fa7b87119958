// Any Dockerfile is read: its instructions follow each other, each is found again by its lines, and
// what would be told of it is text.
#include "adapters/buildkit/diagnosis/dockerfile.hpp"

#include "adapters/buildkit/diagnosis/foreign_base.hpp"
#include "adapters/buildkit/diagnosis/plain_dockerfile.hpp"
#include "adapters/buildkit/diagnosis/secret_mounts.hpp"
#include "adapters/buildkit/diagnosis/source_rules.hpp"
#include "adapters/buildkit/diagnosis/syntax_advice.hpp"
#include "base/text.hpp"

#include "fuzz/target.hpp"

#include <algorithm>

namespace {

void check_instruction(const builder::adapters::buildkit::Dockerfile& file,
                       const builder::adapters::buildkit::Instruction& instruction) {
  using namespace builder;
  using namespace builder::adapters::buildkit;
  const LineRange lines = instruction.lines;
  fuzz::expect(lines.first >= 1 && lines.first <= lines.last && lines.last <= file.lines().size(),
               "lines outside of the file");
  fuzz::expect(
      file.at_line(lines.first) == &instruction && file.at_line(lines.last) == &instruction,
      "an instruction does not cover its lines");
  static_cast<void>(context_sources(instruction.text));
  static_cast<void>(named_images(instruction));
  static_cast<void>(file.platform_of(instruction));
  static_cast<void>(file.stage_of(instruction));
  static_cast<void>(misread_flag(instruction));
  static_cast<void>(file.find_step("[" + instruction.stage + " 1/2] " + instruction.text));
}

/// The lines of RUN instructions may differ; no other, and none comes or goes.
void check_versions(const builder::adapters::buildkit::Dockerfile& file, std::string_view text) {
  using namespace builder;
  using namespace builder::adapters::buildkit;
  const SecretMounts mounts({.secrets = {{"T", Secret("v")}}, .key = Secret("k")});
  const std::string sent = mounts.with_versions(text);
  fuzz::expect(
      mounts.without_versions(sent).size() >= mounts.without_versions(std::string(text)).size(),
      "text was lost");
  std::string_view rest = sent;
  for (std::size_t number = 1; !text.empty() || !rest.empty(); ++number) {
    const std::string_view before = text.substr(0, text.find('\n'));
    const std::string_view after = rest.substr(0, rest.find('\n'));
    const Instruction* const instruction = file.at_line(number);
    fuzz::expect(before == after || (instruction != nullptr && instruction->keyword == "RUN"),
                 "a line changed that is not of a RUN");
    text.remove_prefix(std::min(before.size() + 1, text.size()));
    rest.remove_prefix(std::min(after.size() + 1, rest.size()));
  }
}

}  // namespace

BUILDER_FUZZ(dockerfile) {
  using namespace builder;
  using namespace builder::adapters::buildkit;
  const Dockerfile file(input);
  const ForeignBases bases("Dockerfile", input, "", {"linux/amd64", "linux/arm64"}, {});
  static_cast<void>(bases.foreign_flag("linux/amd64"));
  static_cast<void>(bases.judge({.platform = "linux/arm64", .name = "docker.io/library/a:latest"},
                                "linux/amd64"));
  std::size_t last = 0;
  for (const Instruction& instruction : file.instructions()) {
    fuzz::expect(instruction.lines.first > last, "instructions overlap");
    last = instruction.lines.last;
    check_instruction(file, instruction);
  }
  if (!file.instructions().empty()) {
    const Instruction& first = file.instructions().front();
    static_cast<void>(nearest_keyword(first.keyword));
    for (const std::string& flag : parts_of(first.text).flags) {
      static_cast<void>(nearest_flag(first.keyword, flag));
    }
  }
  static_cast<void>(file.final_base());
  static_cast<void>(file.directive_line("check"));
  static_cast<void>(file.find_step(input.substr(0, input.find('\n'))));
  for (const std::string& row : file.excerpt({.first = 1, .last = file.lines().size()})) {
    fuzz::expect(!row.contains('\n'), "a row of the excerpt has two");
  }
  if (const auto plain = read_plainly(input)) {
    std::size_t line = 0;
    for (const PlainInstruction& instruction : *plain) {
      fuzz::expect(instruction.line > line, "plain instructions overlap");
      line = instruction.line;
    }
    for (const PlainImage& image : images_of(*plain, {})) {
      fuzz::expect(image.line <= line, "an image behind the last line");
    }
  }
  for (const RemoteSource& source : remote_sources(input)) {
    fuzz::expect(source.line >= 1 && source.line <= file.lines().size() + 1,
                 "a source outside of the file");
  }
  for (const NamedFrontend& frontend : named_frontends(input)) {
    fuzz::expect(frontend.line <= file.lines().size() + 1, "a frontend outside of the file");
  }
  const auto checked = check_frontends({}, "Dockerfile", input);
  fuzz::expect(
      checked || (!checked.error().customer.empty() && checked.error().customer.size() <= 191),
      "no short line for the customer");
  static_cast<void>(names_cache_mounts(input));
  check_versions(file, input);
  static_cast<void>(encoding_fault(input));
  static_cast<void>(first_line_not_utf8(file));
}
