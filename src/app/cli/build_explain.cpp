#include "app/cli/build_explain.hpp"

#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "base/ascii.hpp"
#include "base/size.hpp"
#include "base/text.hpp"
#include "domain/dockerignore.hpp"
#include "ports/source_path.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <variant>

namespace builder::app::cli {

namespace {

using adapters::buildkit::Dockerfile;
using adapters::buildkit::Instruction;
using ports::FileType;
using ports::SourceTree;

constexpr std::size_t k_ignore_limit = std::size_t{1} << 20U;
constexpr std::string_view k_ignore_file = ".dockerignore";
/// What a person waits for, and reads.
constexpr std::uint64_t k_most_files = 500'000;

void add(Amount& amount, const ports::FileInfo& info) {
  ++amount.files;
  amount.bytes += info.size;
}

/// Divides the files of a tree among the lines that leave them out, and the rest.
class Counter {
 public:
  Counter(const SourceTree& tree, std::string_view ignore_text)
      : tree_(tree), ignore_(ignore_text) {}

  Result<> count(const std::string& folder) {
    auto entries = tree_.list(folder);
    if (!entries) {
      // A folder that is left out need not be readable.
      return ignore_.hides(folder) != nullptr ? Result<>() : std::unexpected(entries.error());
    }
    for (const ports::DirectoryEntry& entry : *entries) {
      const std::string path = ports::path_in(folder, entry.name);
      if (entry.info.type == FileType::directory) {
        BUILDER_TRY(count(path));
      } else if (entry.info.type != FileType::other) {
        if (++seen_ > k_most_files) {
          return failure(ErrorKind::invalid_input,
                         fmt::format("there are more than {} files", k_most_files));
        }
        const auto* const line = ignore_.hides(path);
        if (line == nullptr) {
          add(context_, entry.info);
        } else {
          LeftOut& left = left_out_[line->number];
          left.line = line->number;
          left.rule = line->text;
          add(left.amount, entry.info);
        }
      }
    }
    return {};
  }

  void write(BuildExplanation& explanation) const {
    explanation.context = context_;
    for (const auto& [number, left] : left_out_) {
      explanation.left_out.push_back(left);
    }
  }

 private:
  const SourceTree& tree_;
  domain::IgnoreFile ignore_;
  Amount context_;
  std::map<std::size_t, LeftOut> left_out_;
  std::uint64_t seen_ = 0;
};

/// The images that no stage of the Dockerfile is.
std::vector<NamedAt> images_of(const Dockerfile& dockerfile) {
  std::set<std::string> stages;
  std::vector<NamedAt> images;
  std::size_t count = 0;
  for (const Instruction& instruction : dockerfile.instructions()) {
    for (const std::string& image : adapters::buildkit::named_images(instruction)) {
      if (!stages.contains(lower_case(image)) && image != "scratch") {
        images.push_back({.line = instruction.lines.first, .what = image});
      }
    }
    if (instruction.keyword == "FROM") {
      stages.insert(instruction.stage);
      stages.insert(std::to_string(count++));
    }
  }
  return images;
}

std::vector<NamedAt> caches_of(const Dockerfile& dockerfile) {
  std::vector<NamedAt> caches;
  for (const Instruction& instruction : dockerfile.instructions()) {
    if (instruction.keyword != "RUN") {
      continue;
    }
    for (const std::string& flag : adapters::buildkit::parts_of(instruction.text).flags) {
      if (flag.starts_with("--mount=") && flag.contains("type=cache")) {
        caches.push_back(
            {.line = instruction.lines.first, .what = flag.substr(flag.find('=') + 1)});
      }
    }
  }
  return caches;
}

/// What has no registry to ask says what it would be asked for.
std::string verdict_of(const std::string& refusal, const std::string& rule, bool needs_signature) {
  return !refusal.empty() ? refusal
         : rule.empty()   ? "may be used"
         : needs_signature
             ? fmt::format("may be used if it is signed, which the build asks its registry: \"{}\"",
                           rule)
             : fmt::format("may be used: \"{}\"", rule);
}

std::vector<PolicyRow> rows_of(const PolicyOfBuild& policy, std::string_view dockerfile) {
  std::vector<PolicyRow> rows;
  for (const auto& found : adapters::buildkit::judge_dockerfile(*policy.policy, policy.frontends,
                                                                dockerfile, policy.given)) {
    rows.push_back({.line = found.line,
                    .what = found.what,
                    .rule = found.rule,
                    .verdict = verdict_of(found.refusal, found.rule, found.needs_signature),
                    .refused = !found.refusal.empty()});
  }
  return rows;
}

PolicyRow row_of_builder(const adapters::policy::Policy& policy, const std::string& builder) {
  const auto reference = adapters::oci::parse_reference(builder);
  const auto rule =
      reference ? policy.rule_for(*reference) : std::unexpected("no name of an image");
  const bool has_rule = rule && *rule != nullptr;
  const std::string name = has_rule ? (*rule)->name : std::string();
  return {.line = 0,
          .what = builder,
          .rule = name,
          .verdict = verdict_of(rule ? std::string() : rule.error(), name,
                                has_rule && (*rule)->needs_signature()),
          .refused = !rule};
}

Result<std::optional<std::string>> text_at(const SourceTree& tree, const std::string& path,
                                           std::size_t limit) {
  auto text = ports::read_file(tree, path, limit);
  if (text) {
    return *std::move(text);
  }
  return text.error().kind == ErrorKind::not_found
             ? Result<std::optional<std::string>>(std::nullopt)
             : std::unexpected(text.error());
}

std::string of_many(std::uint64_t count, std::string_view what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string in_words(const Amount& amount) {
  return of_many(amount.files, "file") + ", " + bytes_in_words(amount.bytes);
}

nlohmann::ordered_json json_of(const std::vector<NamedAt>& named) {
  auto list = nlohmann::ordered_json::array();
  for (const NamedAt& one : named) {
    list.push_back({{"line", one.line}, {"name", printable_line(one.what)}});
  }
  return list;
}

}  // namespace

Result<BuildExplanation> explain(const build::LocalPlan& planned, const SourceTree& source,
                                 const PolicyOfBuild& policy) {
  BuildExplanation explanation;
  explanation.knobs = domain::knobs::shown(planned.knobs);
  const auto& plan = planned.plan;
  const auto* const dockerfile = std::get_if<build::DockerfilePlan>(&plan);
  if (dockerfile == nullptr) {
    const auto& buildpacks = std::get<build::BuildpacksPlan>(plan);
    explanation.builder = buildpacks.builder;
    if (policy.policy != nullptr) {
      explanation.policy = {row_of_builder(*policy.policy, buildpacks.builder)};
    }
    Counter counter(*buildpacks.app, "");
    BUILDER_TRY(counter.count(""));
    counter.write(explanation);
    return explanation;
  }
  explanation.dockerfile = dockerfile->target.dockerfile;
  const SourceTree& tree = *dockerfile->tree;
  std::string name = dockerfile->target.dockerfile + std::string(k_ignore_file);
  BUILDER_TRY_ASSIGN(auto ignore, text_at(*dockerfile->dockerfile_tree, name, k_ignore_limit));
  if (!ignore) {
    const auto& context = planned.knobs.context;
    name = ports::path_in(context ? context->value : std::string(), k_ignore_file);
    BUILDER_TRY_ASSIGN(ignore, text_at(tree, std::string(k_ignore_file), k_ignore_limit));
  }
  explanation.ignore_file = source.stat(name) ? name : std::string();
  Counter counter(tree, ignore.value_or(""));
  BUILDER_TRY(counter.count(""));
  counter.write(explanation);
  BUILDER_TRY_ASSIGN(const auto text,
                     ports::read_file(*dockerfile->dockerfile_tree, dockerfile->target.dockerfile,
                                      adapters::buildkit::k_dockerfile_limit));
  const Dockerfile read(text);
  explanation.images = images_of(read);
  explanation.caches = caches_of(read);
  if (policy.policy != nullptr) {
    explanation.policy = rows_of(policy, text);
  }
  if (read.frontend()) {
    explanation.frontend = read.frontend()->reference;
  }
  return explanation;
}

std::string explanation_text(const Terminal& terminal, const BuildExplanation& explanation,
                             const std::vector<std::pair<std::string, std::string>>& facts) {
  std::vector<std::pair<std::string, std::string>> rows;
  if (explanation.replay) {
    for (domain::Message& message : replay_messages(*explanation.replay)) {
      rows.emplace_back("Replay", std::move(message.text));
    }
  }
  rows.insert(rows.end(), facts.begin(), facts.end());
  if (explanation.dockerfile.empty()) {
    rows.emplace_back("Buildpacks", explanation.builder);
  } else {
    rows.emplace_back("Dockerfile", explanation.dockerfile);
    rows.emplace_back("Frontend",
                      explanation.frontend.empty() ? "the engine's own" : explanation.frontend);
    rows.emplace_back("Ignore file", explanation.ignore_file.empty()
                                         ? "none; the platform's default one"
                                         : explanation.ignore_file);
  }
  for (const auto& [name, value, where] : explanation.knobs) {
    rows.emplace_back("Decided", fmt::format("{} = {}  by {}", name, value, where));
  }
  rows.emplace_back("Context", in_words(explanation.context));
  const std::string file =
      explanation.ignore_file.empty() ? std::string("default") : explanation.ignore_file;
  for (const LeftOut& left : explanation.left_out) {
    rows.emplace_back("Left out", fmt::format("{}  by {}:{} {}", in_words(left.amount), file,
                                              left.line, left.rule));
  }
  for (const NamedAt& image : explanation.images) {
    rows.emplace_back("Image", fmt::format("{}  line {}", image.what, image.line));
  }
  for (const PolicyRow& row : explanation.policy.value_or(std::vector<PolicyRow>())) {
    rows.emplace_back("Policy",
                      fmt::format("{}{}{}: {}", row.what, row.line == 0 ? "" : "  line ",
                                  row.line == 0 ? "" : std::to_string(row.line), row.verdict));
  }
  for (const NamedAt& cache : explanation.caches) {
    rows.emplace_back("Cache", fmt::format("{}  line {}", cache.what, cache.line));
  }
  // An engine looks a step up when it knows what goes into it, which the step before decides.
  rows.emplace_back("Cached steps", explanation.no_cache
                                        ? "none (--no-cache)"
                                        : "known to the engine alone, while it builds");
  std::string text;
  std::string before;
  for (const auto& [head, value] : rows) {
    text += fitted(fmt::format("{:13}{}", head == before ? "" : head, printable_columns(value)),
                   terminal.columns) +
            "\n";
    before = head;
  }
  return text;
}

std::string explanation_json(const BuildExplanation& explanation,
                             const std::vector<std::pair<std::string, std::string>>& facts) {
  nlohmann::ordered_json object;
  for (const auto& [head, value] : facts) {
    object[lower_case(head)] = printable_line(value);
  }
  auto left_out = nlohmann::ordered_json::array();
  for (const LeftOut& left : explanation.left_out) {
    left_out.push_back({{"line", left.line},
                        {"rule", printable_line(left.rule)},
                        {"files", left.amount.files},
                        {"bytes", left.amount.bytes}});
  }
  auto decided = nlohmann::ordered_json::array();
  for (const auto& [name, value, where] : explanation.knobs) {
    decided.push_back({{"knob", name}, {"value", value}, {"where", where}});
  }
  object["decided"] = std::move(decided);
  object["dockerfile"] = printable_line(explanation.dockerfile);
  object["frontend"] = printable_line(explanation.frontend);
  object["builder"] = printable_line(explanation.builder);
  object["ignore_file"] = printable_line(explanation.ignore_file);
  object["context"] = {{"files", explanation.context.files}, {"bytes", explanation.context.bytes}};
  object["left_out"] = std::move(left_out);
  object["images"] = json_of(explanation.images);
  object["caches"] = json_of(explanation.caches);
  if (explanation.policy) {
    auto list = nlohmann::ordered_json::array();
    for (const PolicyRow& row : *explanation.policy) {
      list.push_back({{"line", row.line},
                      {"name", printable_line(row.what)},
                      {"rule", row.rule},
                      {"refused", row.refused},
                      {"verdict", row.verdict}});
    }
    object["policy"] = std::move(list);
  }
  if (explanation.replay) {
    object["replay"] = replay_json(*explanation.replay);
  }
  return object.dump(2) + "\n";
}

}  // namespace builder::app::cli
