#include "build/build_inputs.hpp"

#include "base/keyed_hash.hpp"
#include "domain/dockerignore.hpp"
#include "ports/source_path.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::build {

namespace {

using ports::DirectoryEntry;
using ports::FileType;

/// To be raised when a build makes another image of the same things.
constexpr std::string_view k_inputs_form = "inputs 1";

/// Fields that cannot be mistaken for others.
class Fields {
 public:
  void add(std::string_view field) { text_ += with_lengths({field}); }

  void add(const std::map<std::string, std::string>& fields) {
    add(std::to_string(fields.size()));
    for (const auto& [name, value] : fields) {
      add(name);
      add(value);
    }
  }

  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

class ContextReader {
 public:
  ContextReader(const DockerfilePlan& plan, const domain::knobs::BuildKnobs& knobs, Fields& fields,
                const std::stop_token& stop)
      : tree_(*plan.tree),
        ignored_(plan.ignore_file),
        context_(knobs.context ? knobs.context->value : std::string()),
        fields_(fields),
        stop_(stop) {
    if (knobs.ignored_paths) {
      filter_.emplace(knobs.ignored_paths->value);
    }
  }

  Result<> read() { return read("", {}); }

 private:
  Result<> read(const std::string& folder, const domain::PatternList::Folder& parent) {
    BUILDER_TRY_ASSIGN(const std::vector<DirectoryEntry> entries, tree_.list(folder));
    for (const DirectoryEntry& entry : entries) {
      const std::string path = ports::path_in(folder, entry.name);
      domain::PatternList::Folder own;
      const bool hidden = ignored_.patterns().matches(path, parent, &own, budget_, stop_);
      if (stop_.stop_requested()) {
        return failure(ErrorKind::cancelled, "stopped while the context was looked at");
      }
      if (budget_.exhausted()) {
        return failure(ErrorKind::invalid_input, "the ignore file costs too much");
      }
      const bool concerns =
          is_generated(path) || !filter_ || filter_->concerns(ports::path_in(context_, path));
      if (entry.info.type == FileType::directory) {
        if (!hidden && concerns) {
          fields_.add(path);  // An empty one is copied as well.
          fields_.add("d");
        }
        if (!hidden || ignored_.patterns().may_except_below(path)) {
          BUILDER_TRY(read(path, own));
        }
      } else if (!hidden && concerns) {
        add(path, entry.info);
      }
    }
    return {};
  }

  /// The service's variables are no file of the repository, which patterns are about.
  static bool is_generated(std::string_view path) { return path == ".env"; }

  void add(const std::string& path, const ports::FileInfo& info) {
    fields_.add(path);
    fields_.add(info.type == FileType::symlink ? "l" : std::to_string(info.permissions));
    fields_.add({reinterpret_cast<const char*>(info.content.data()), info.content.size()});
  }

  const ports::SourceTree& tree_;
  domain::IgnoreFile ignored_;
  const std::string context_;  ///< Where the tree is in the repository.
  std::optional<domain::knobs::ChangeFilter> filter_;
  Fields& fields_;
  const std::stop_token& stop_;
  domain::MatchingBudget budget_;
};

std::map<std::string, std::string> revealed(const std::map<std::string, Secret>& secrets) {
  std::map<std::string, std::string> values;
  for (const auto& [name, value] : secrets) {
    values.emplace(name, value.reveal());
  }
  return values;
}

}  // namespace

Result<std::string> inputs_of(const DockerfilePlan& plan, const domain::knobs::BuildKnobs& knobs,
                              const domain::DeliveredVariables& variables, const Secret& key,
                              const std::stop_token& stop) {
  Fields fields;
  fields.add(k_inputs_form);
  fields.add(plan.target.dockerfile);
  // The frontend gets it even where the ignore file hides it from the context.
  BUILDER_TRY_ASSIGN(const std::string dockerfile, dockerfile_text(plan));
  fields.add(dockerfile);
  const ports::BuildOptions& options = plan.target.options;
  fields.add(options.target);
  fields.add(options.platform);
  fields.add(options.arguments);
  if (!options.labelled_source.empty()) {
    fields.add(options.labelled_source);
  }
  // What they left out is in the image as it was then.
  const auto patterns =
      knobs.ignored_paths ? knobs.ignored_paths->value : std::vector<std::string>();
  fields.add(std::to_string(patterns.size()));
  for (const std::string& pattern : patterns) {
    fields.add(pattern);
  }
  fields.add(variables.arguments);
  fields.add(revealed(variables.secrets));
  BUILDER_TRY(ContextReader(plan, knobs, fields, stop).read());
  return hmac_sha256_hex(key.reveal(), fields.text());
}

}  // namespace builder::build
