#pragma once

#include "base/redactor.hpp"
#include "base/result.hpp"
#include "domain/failures/line_pattern.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain::failures {

/// Whose matter a failure is.
enum class Category {
  customer,  ///< Something in the repository or in the service's settings.
  platform,  ///< The build machine or the platform.
  network,   ///< A server that the build needs: it, or the way to it.
};

std::string_view to_string(Category category);

/// What is known of a failed deployment.
struct Failure {
  std::string_view step = {};  ///< The name of the step that failed: `[2/3] RUN npm ci`.
  std::optional<int> exit_code = {};
  std::string_view output = {};  ///< What that step printed; its end counts.
  std::string_view error = {};  ///< What was said about the failure: by the engine, git, ourselves.
  std::string_view ending = {};  ///< `disk_full`, `silent`, `build_timeout`; empty: another.
  /// Takes secrets out of what is read, before a part of one could be quoted. Null: by shape only.
  std::shared_ptr<const Redactor> redactor = nullptr;
};

struct Explanation {
  std::string reason;  ///< The name of the rule.
  Category category = Category::customer;
  std::string sentence;    ///< What happened and what to do, in one line. It may quote the output.
  std::string brief;       ///< The same with shorter quotes, so that a place fits in front of it.
  std::string suggestion;  ///< More about what to do.
};

/// One entry of rules.toml, which says what its keys mean.
struct Rule {
  std::string name;
  Category category = Category::customer;
  std::vector<std::string> step = {};  ///< In lower case; empty: any step.
  std::vector<int> exit_codes = {};    ///< Empty: any.
  std::string ending = {};
  std::vector<LinePattern> error = {};
  std::vector<LinePattern> all = {};
  std::vector<LinePattern> any = {};
  std::vector<LinePattern> none = {};
  std::vector<LinePattern> more = {};
  std::size_t lines = 0;
  std::string sentence;
  std::string suggestion;
};

/// Tells from the end of a failing step's output, and from what else is known, why a deployment
/// failed. Immutable; used by every thread.
class FailureRules {
 public:
  /// Bytes of an output that are looked at, at its end.
  static constexpr std::size_t k_most_output = std::size_t{64} * 1024;

  /// `invalid_input`: names the rule and what is wrong with it.
  static Result<FailureRules> parse(std::string_view toml);

  /// The first rule that fits; nullopt: none does.
  [[nodiscard]] std::optional<Explanation> explain(const Failure& failure) const;

  [[nodiscard]] const std::vector<Rule>& rules() const { return rules_; }

 private:
  FailureRules(std::vector<Rule> rules, std::vector<LinePattern> ended_well)
      : rules_(std::move(rules)), ended_well_(std::move(ended_well)) {}

  std::vector<Rule> rules_;
  std::vector<LinePattern> ended_well_;
};

/// Those of rules.toml, which is part of the program.
const FailureRules& failure_rules();

/// The line of a failure with the sentence that explains it: in place of the last words of the
/// command, and of a pointer to them. A line that gives a reason of its own stays as it is. Where
/// both do not fit, the command that the line quotes is cut, and the brief sentence is taken. The
/// line has no secrets any more: half of one would not be recognised.
std::string with_sentence(std::string_view line, std::string_view last_words,
                          const Explanation& why);

}  // namespace builder::domain::failures
