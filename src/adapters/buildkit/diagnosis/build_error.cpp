#include "adapters/buildkit/diagnosis/build_error.hpp"

#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "adapters/buildkit/diagnosis/engine_words.hpp"
#include "adapters/buildkit/diagnosis/error_details.hpp"
#include "adapters/buildkit/diagnosis/missing_source.hpp"
#include "adapters/buildkit/diagnosis/source_rules.hpp"
#include "adapters/buildkit/diagnosis/syntax_advice.hpp"
#include "base/ascii.hpp"
#include "base/redactor.hpp"
#include "base/text.hpp"
#include "domain/log_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <memory>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

/// Bytes of a customer's line that are left to what the command said last.
constexpr std::size_t k_room_for_last_words = 80;

/// Without the daemon's nesting, and without what only its machine knows.
std::string stripped(std::string text) {
  constexpr std::array<std::string_view, 9> k_prefixes{
      "failed to solve with frontend dockerfile.v0: ",
      "failed to solve with frontend gateway.v0: ",
      "failed to solve: ",
      "failed to create LLB definition: ",
      "failed to build LLB: ",
      "failed to load LLB: ",
      "failed to compute cache key: ",
      "rpc error: code = Unknown desc = ",
      "failed to load cache key: "};
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view prefix : k_prefixes) {
      if (text.starts_with(prefix)) {
        text.erase(0, prefix.size());
        again = true;
      }
    }
  }
  return without_engine_paths(printable_columns(text));
}

/// The number behind the last `mark` of `text`.
std::optional<int> number_after(std::string_view text, std::string_view mark) {
  const std::size_t at = text.rfind(mark);
  int value = 0;
  if (at == std::string_view::npos) {
    return std::nullopt;
  }
  const char* begin = text.data() + at + mark.size();
  const auto [end, code] = std::from_chars(begin, text.data() + text.size(), value);
  return code == std::errc() && end != begin ? std::optional(value) : std::nullopt;
}

/// The text between the last two double quotes before `mark`.
std::string quoted_before(std::string_view text, std::string_view mark) {
  const std::size_t end = text.find(mark);
  if (end == std::string_view::npos || end == 0) {
    return {};
  }
  const std::size_t begin = text.rfind('"', end - 1);
  return begin == std::string_view::npos ? ""
                                         : std::string(text.substr(begin + 1, end - begin - 1));
}

/// The text between two marks; `after` may be missing, then up to the end.
std::string between(std::string_view text, std::string_view before, std::string_view after) {
  const std::size_t at = text.find(before);
  if (at == std::string_view::npos) {
    return {};
  }
  text.remove_prefix(at + before.size());
  return std::string(text.substr(0, text.find(after)));
}

bool has_any(std::string_view text, std::initializer_list<std::string_view> marks) {
  return std::ranges::any_of(marks, [text](std::string_view mark) { return text.contains(mark); });
}

/// One engine begins with a capital and the other does not, one proposes what was meant.
std::string plain_words(std::string text) {
  if (const std::size_t at = text.find(" (did you mean "); at != std::string::npos) {
    text.resize(at);
  }
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])) != 0) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

/// The last line of an output that tells something.
std::string last_line(std::string_view output) {
  // npm ends with the name of a file in a container that is gone.
  constexpr std::array<std::string_view, 3> k_trailers{"A complete log of this run", "/_logs/",
                                                       "exit status "};
  constexpr std::size_t k_longest = 300;
  std::string last;
  domain::LineAssembler lines(
      std::make_shared<const Redactor>(std::vector<NamedSecret>()), [&](const std::string& row) {
        const std::string line = domain::without_colours(row);
        const bool says = std::ranges::any_of(
            line, [](unsigned char c) { return std::isalnum(c) != 0 || c >= 0x80; });
        const bool is_trailer =
            std::ranges::any_of(k_trailers, [&](auto mark) { return line.contains(mark); });
        if (says && !is_trailer) {
          last = line;
        }
      });
  lines.feed(output);
  lines.finish();
  return truncate_characters(printable_columns(last), k_longest);
}

bool runs_on_the_platform(std::string_view platform) {
  const std::size_t slash = platform.find('/');
  const std::string_view system = slash == std::string_view::npos ? "" : platform.substr(0, slash);
  std::string_view processor =
      slash == std::string_view::npos ? platform : platform.substr(slash + 1);
  processor = processor.substr(0, processor.find('/'));
  constexpr std::array<std::string_view, 7> k_ours{"",       "linux", "amd64", "x86_64",
                                                   "x86-64", "386",   "i386"};
  return (system.empty() || system == "linux") &&
         std::ranges::find(k_ours, processor) != k_ours.end();
}

std::string platform_sentence(std::string_view platform, bool is_flag) {
  return is_flag ? fmt::format(
                       "--platform={0} makes an image for {0}, and the platform runs "
                       "linux/amd64; remove the flag",
                       truncate_characters(printable_columns(platform), 30))
                 : fmt::format(
                       "the base image is for {}, and the platform runs linux/amd64; use one "
                       "that is built for linux/amd64",
                       truncate_characters(printable_columns(platform), 30));
}

class Explainer {
 public:
  explicit Explainer(const FailedSolve& solve)
      : solve_(solve),
        details_(read_details(solve.status)),
        dockerfile_(solve.dockerfile_text.value_or("")),
        text_(stripped(solve.status.error_message())),
        cause_(cause_of(text_)) {
    find_step();
    find_place();
  }

  Explanation run() {
    if (is_engine_lost()) {
      Explanation lost = finish(ErrorKind::unavailable, "");
      lost.engine_lost = true;
      return lost;
    }
    // BuildKit's exporter begins with it; further on a command or a path may hold it.
    if (text_.starts_with("failed to push ") && !exit_code()) {
      Explanation out = finish(ErrorKind::unavailable, "");
      out.push_error = text_;
      return out;
    }
    if (is_engine_trouble()) {
      return finish(ErrorKind::unavailable, "");
    }
    if (const std::optional<int> code = exit_code()) {
      return run_failed(*code);
    }
    for (const auto recogniser : k_recognisers) {
      if (auto sentence = (this->*recogniser)()) {
        return finish(sentence->kind, sentence->line);
      }
    }
    return failed(placed(text_.empty() ? "the build failed" : plain_words(text_)));
  }

 private:
  struct Sentence {
    ErrorKind kind;
    std::string line;
  };

  using Recogniser = std::optional<Sentence> (Explainer::*)() const;

  // The first that knows the text speaks. What is wrong with the file as a text comes before what a
  // frontend makes of it, the special before the general.
  static const std::array<Recogniser, 24> k_recognisers;

  void find_step() {
    for (const FailedStep& step : solve_.steps) {
      const bool named = !details_.vertex.empty() && step.digest == details_.vertex;
      const bool repeated = solve_.status.error_message().contains(step.error) &&
                            !step.error.ends_with("context canceled");
      if (named || (repeated && details_.vertex.empty())) {
        step_ = &step;
        return;
      }
    }
    if (!solve_.steps.empty()) {
      step_ = &solve_.steps.front();
    }
  }

  void find_place() {
    if (step_ != nullptr) {
      StepPlace place = dockerfile_.find_step(step_->name);
      trigger_ = std::move(place.trigger);
      instruction_ = place.instruction;
    }
    place_ = details_.lines;
    for (const std::string_view mark : {"parse error line ", "parse error on line "}) {
      if (const auto line = number_after(text_, mark); place_.first == 0 && line && *line > 0) {
        place_ = {.first = static_cast<std::size_t>(*line),
                  .last = static_cast<std::size_t>(*line)};
      }
    }
    if (place_.first != 0) {
      instruction_ = dockerfile_.at_line(place_.first);
      if (instruction_ == nullptr || instruction_->keyword != "FROM") {
        trigger_.clear();  // Those of a base image are placed on its line.
      }
    } else if (instruction_ != nullptr) {
      place_ = instruction_->lines;
    } else {
      find_place_by_words();
    }
  }

  /// Engines give neither a line nor a step for some of what they refuse before they build; old
  /// ones for nothing of that.
  void find_place_by_words() {
    for (const Instruction& instruction : dockerfile_.instructions()) {
      if (is_meant(instruction)) {
        place_ = instruction.lines;
        instruction_ = &instruction;
        return;
      }
    }
  }

  [[nodiscard]] bool is_meant(const Instruction& instruction) const {
    const bool is_from = instruction.keyword == "FROM";
    const auto names = [&](std::string_view before, std::string_view after,
                           const std::string& prefix) {
      const std::string word = between(text_, before, after);
      return !word.empty() && instruction.text.contains(prefix + word);
    };
    const auto images = named_images(instruction);
    const auto names_image = [&](const std::string& image) {
      return !image.empty() && std::ranges::find(images, image) != images.end();
    };
    const auto own_sources = context_sources(instruction.text);
    const bool misses = has_any(text_, {"lstat ", "not found"}) &&
                        std::ranges::any_of(own_sources, [this](const std::string& source) {
                          return !context_has(source);
                        });
    return (text_.contains("no build stage in current context") && !is_from &&
            instruction.keyword != "ARG") ||
           (!is_from && names("circular dependency detected on stage: ", " ", "--from=")) ||
           (!is_from && text_.contains("circular dependency detected") && names_image("0")) ||
           names_image(between(text_, "invalid stage index ", " ")) ||
           (text_.contains("variable expansion is not supported for --from") && !is_from &&
            std::ranges::any_of(images, [](const auto& image) { return image.contains('$'); })) ||
           names_image(between(text_, "failed to parse stage name \"", "\"")) ||
           (is_from && names("failed to parse platform ", ":", "")) ||
           (instruction.keyword == "ADD" && names("\"http", "\"", "http")) ||
           (is_from && names("base name (", ")", "")) ||
           (text_.contains("network.host is not allowed") &&
            instruction.text.contains("--network=host")) ||
           (text_.contains("security.insecure is not allowed") &&
            instruction.text.contains("--security=insecure")) ||
           names("failed to process \"", "\":", "") ||
           (instruction.keyword == "EXPOSE" && names("nvalid containerPort: ", " ", "")) ||
           (instruction.keyword == "STOPSIGNAL" && names("nvalid signal: ", " ", "")) ||
           (instruction.keyword == "LABEL" && text_.starts_with("LABEL must have")) ||
           (text_.contains("invalid mount target") && instruction.text.contains("--mount=")) ||
           misses;
  }

  [[nodiscard]] std::string file() const { return printable_columns(solve_.dockerfile); }

  [[nodiscard]] std::string placed(const std::string& text) const {
    return at_line(place_.first, text);
  }

  [[nodiscard]] std::string at_line(std::size_t line, const std::string& text) const {
    return line == 0 ? fmt::format("{}: {}", file(), text)
                     : fmt::format("{}:{}: {}", file(), line, text);
  }

  /// A sentence about the customer's build.
  static Sentence theirs(std::string line) {
    return {.kind = ErrorKind::build_failed, .line = std::move(line)};
  }

  [[nodiscard]] Explanation failed(const std::string& customer) const {
    return finish(ErrorKind::build_failed, customer);
  }

  [[nodiscard]] Explanation finish(ErrorKind kind, const std::string& customer) const {
    Explanation out;
    out.error =
        Error{.kind = kind,
              .message = fmt::format("solve failed with code {}: {}",
                                     static_cast<int>(solve_.status.error_code()),
                                     printable_columns(solve_.status.error_message())),
              .customer = truncate_characters(printable_columns(customer), k_customer_limit)};
    if (kind == ErrorKind::build_failed) {
      if (step_ != nullptr && !step_->name.starts_with("[internal]")) {
        out.excerpt.push_back(fmt::format("Step {} failed: {}", step_->number,
                                          truncate_characters(step_->name, k_customer_limit)));
      }
      for (std::string& line : dockerfile_.excerpt(place_)) {
        out.excerpt.push_back(std::move(line));
      }
    }
    return out;
  }

  // CANCELLED although nobody here cancelled, or its text: the engine is shutting down or has lost
  // the session. A RUN that failed for its own reason names an exit code.
  [[nodiscard]] bool is_engine_lost() const {
    const grpc::StatusCode code = solve_.status.error_code();
    return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::CANCELLED ||
           text_.ends_with("context canceled") ||
           (!exit_code() &&
            has_any(own_words(text_),
                    {"no active session", "transport is closing", "rpc error: code = Unavailable",
                     "the client connection is closing", "Stream removed"}));
  }

  /// The operator's matter. What a frontend says about the file never is, nor what a command did:
  /// only that the runtime could not begin it.
  [[nodiscard]] bool is_engine_trouble() const {
    if (exit_code()) {
      // Nothing but the runtime has spoken: no command of the customer's ran.
      return step_ != nullptr && is_runtime_message(step_->output) && not_started().empty() &&
             is_engine_fault(printable_columns(step_->output));
    }
    // A source that is not there may have any name.
    const bool is_missing = has_any(text_, {"lstat ", "failed to walk "}) &&
                            text_.ends_with("no such file or directory");
    const bool of_the_file = is_missing || text_.contains("parse error") ||
                             solve_.status.error_message().contains("LLB definition: ") ||
                             (step_ == nullptr && place_.first != 0);
    return solve_.status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
           (!of_the_file && is_engine_fault(cause_));
  }

  [[nodiscard]] std::optional<int> exit_code() const {
    if (details_.exit_code) {
      return details_.exit_code;
    }
    return cause_.starts_with("exit code: ") ? number_after(cause_, "exit code: ") : std::nullopt;
  }

  /// What a person knows the failing step by.
  [[nodiscard]] std::string command() const {
    if (!trigger_.empty()) {
      return trigger_;
    }
    if (instruction_ != nullptr) {
      return instruction_->text;
    }
    if (step_ != nullptr) {
      const std::size_t close = step_->name.find("] ");
      return close == std::string::npos ? step_->name : step_->name.substr(close + 2);
    }
    return "a RUN step";
  }

  /// `Dockerfile:2: "COMMAND"ENDING`, the command cut where it is too long. `room`: bytes that
  /// follow.
  [[nodiscard]] std::string about_command(const std::string& ending, std::size_t room = 0) const {
    const std::string begin = placed("\"");
    const std::string end =
        (trigger_.empty() ? "\"" : "\" (an ONBUILD of the base image)") + ending;
    const std::size_t used = std::min(begin.size() + end.size() + room, k_customer_limit - 20);
    // A joined instruction keeps the indentation of its lines; one blank says as much.
    return begin + printable_line(command(), k_customer_limit - used) + end;
  }

  /// Why the runtime could not start the command of a RUN; empty: it did. runc's exec errors.
  [[nodiscard]] std::string not_started() const {
    if (step_ == nullptr || !is_runtime_message(step_->output)) {
      return {};
    }
    const std::string said = printable_columns(step_->output);
    const std::string program =
        said.starts_with("exec /") ? between(said, "exec ", ":") : between(said, "exec: \"", "\"");
    if (program.empty()) {
      return {};
    }
    const std::string shown = truncate_characters(program, 40);
    if (said.contains("exec format error")) {
      return shown.ends_with("sh") && shown.contains("bin/")
                 ? fmt::format("{} of the image is not for linux/amd64; use a base image that is",
                               shown)
                 : fmt::format(
                       "{} is for other machines than linux/amd64, or a script without "
                       "\"#!\"",
                       shown);
    }
    if (said.contains("permission denied")) {
      const std::string why = script_hint(program, 126);
      return why.empty() ? shown + " is not executable" : why;
    }
    if (has_any(said, {"no such file or directory", "executable file not found"})) {
      const std::string why = said.contains("stat ") ? "" : script_hint(program, 127);
      return why.empty() ? shown + " is not in the image" : why;
    }
    return {};
  }

  [[nodiscard]] std::string script_hint(std::string_view path, int code) const {
    return solve_.context == nullptr
               ? std::string()
               : ContextView(*solve_.context, solve_.dockerfile).why_not_started(path, code);
  }

  /// What the step's output or the source shows beside the exit code; empty: nothing.
  [[nodiscard]] std::string hint(int code) const {
    constexpr int k_syntax = 2;
    constexpr int k_not_executable = 126;
    constexpr int k_not_found = 127;
    if (step_ == nullptr) {
      return {};
    }
    const std::string& said = step_->output;
    const std::string what = command();
    if (said.contains("fatal: not a git repository")) {
      return "a clone's .git is never in the build here; commit the version as a file";
    }
    if (said.contains("/run/secrets/") && what.contains("type=secret") &&
        lower_case(said).contains("permission denied")) {
      return "a secret is root's: add uid= of the USER, or mode=0444, to its mount";
    }
    if (said.contains("/run/secrets/") && what.contains("type=secret") &&
        said.contains("No such file")) {
      return "secret mounts bear the names of the service's variables; it has none of this name";
    }
    if (code == k_not_found) {
      if (const std::string quote = typographic_quotes(what); !quote.empty()) {
        return fmt::format("{} is no quote to a shell; type \" or '", quote);
      }
    }
    if (code != k_not_found && code != k_not_executable && code != k_syntax) {
      return {};
    }
    for (const std::string& word : parts_of(what).words) {
      const bool is_script = word.contains('/') || word.ends_with(".sh") || word.ends_with(".py");
      const std::string path = word.substr(0, word.find_first_of(";|&<>"));
      if (!is_script || path.empty() || path.contains('$')) {
        continue;
      }
      const std::string why = script_hint(path, code);
      const bool is_fact = why.contains("CRLF") || why.contains("not executable");
      const bool is_named = said.contains(path + ": not found") ||
                            said.contains(path + ": No such file") ||
                            said.contains(path + ": no such file");
      if (!why.empty() && (is_fact || (is_named && !why.contains("/bin/sh ")))) {
        return why;
      }
    }
    return {};
  }

  [[nodiscard]] Explanation run_failed(int code) const {
    Explanation out;
    if (instruction_ != nullptr && trigger_.empty()) {
      if (const std::string misread = misread_flag(*instruction_); !misread.empty()) {
        out = failed(placed(misread));
        out.exit_code = code;
        return out;
      }
    }
    if (const std::string why = not_started(); !why.empty()) {
      out = failed(about_command(" could not start: " + why));
      if (const Instruction* from = foreign_stage();
          from != nullptr && step_->output.contains("exec format error")) {
        out = failed(
            at_line(from->lines.first, platform_sentence(dockerfile_.platform_of(*from), true)));
      }
      out.exit_code = code;
      return out;
    }
    const std::string why = hint(code);
    // What is killed has no last words, and what could not start spoke none of its own.
    constexpr int k_killed = 137;
    const std::string last = step_ == nullptr ? "" : last_line(step_->output);
    const bool has_spoken = why.empty() && code != k_killed && !is_runtime_message(last);
    const std::string said = has_spoken ? without_engine_paths(last) : "";
    // 137 is SIGKILL, which nearly always is the kernel's out-of-memory killer.
    out = failed(
        about_command(fmt::format(" failed with exit code {}{}{}{}", code, why.empty() ? "" : ": ",
                                  why, code == 137 ? k_killed_guess : ""),
                      std::min(said.size(), k_room_for_last_words)));
    out.error.last_words = said;
    out.exit_code = code;
    return out;
  }

  /// The FROM of the failing instruction's stage when it asks for other machines.
  [[nodiscard]] const Instruction* foreign_stage() const {
    const Instruction* from =
        instruction_ == nullptr ? nullptr : dockerfile_.stage_of(*instruction_);
    return from != nullptr && !runs_on_the_platform(dockerfile_.platform_of(*from)) ? from
                                                                                    : nullptr;
  }

  [[nodiscard]] bool context_has(const std::string& source) const {
    return solve_.context == nullptr || ContextView(*solve_.context, solve_.dockerfile).has(source);
  }

  /// The sentence about something only a newer frontend reads.
  [[nodiscard]] Sentence too_new(const std::string& what, std::size_t line) const {
    if (const auto& frontend = dockerfile_.frontend()) {
      return theirs(at_line(line, fmt::format("the frontend of line {} does not know {}; name a "
                                              "newer one there (docker/dockerfile:1)",
                                              frontend->line, what)));
    }
    return theirs(
        at_line(line, fmt::format("the build engine is too old for {}; begin the file with "
                                  "\"# syntax=docker/dockerfile:1\" or write it without",
                                  what)));
  }

  // --- What is known of the texts of the peers. Each names the one that says so.

  /// dockerfile/parser, whatever it stumbles over first.
  [[nodiscard]] std::optional<Sentence> not_text() const {
    const TextFault fault = encoding_fault(solve_.dockerfile_text.value_or(""));
    return fault.sentence.empty() ? std::nullopt
                                  : std::optional(theirs(at_line(fault.line, fault.sentence)));
  }

  /// protobuf, of an operation that holds the line; old engines pass it on.
  [[nodiscard]] std::optional<Sentence> not_utf8() const {
    const TextFault fault = first_line_not_utf8(dockerfile_);
    return text_.contains("invalid UTF-8") && !fault.sentence.empty()
               ? std::optional(theirs(at_line(fault.line, fault.sentence)))
               : std::nullopt;
  }

  /// dockerfile/parser: bufio.ErrTooLong.
  [[nodiscard]] std::optional<Sentence> long_line() const {
    const TextFault fault = first_long_line(dockerfile_);
    return text_.contains("line greater than max") && !fault.sentence.empty()
               ? std::optional(theirs(at_line(fault.line, fault.sentence)))
               : std::nullopt;
  }

  /// dockerfile/parser.
  [[nodiscard]] std::optional<Sentence> no_instructions() const {
    return has_any(text_, {"Dockerfile cannot be empty", "file with no instructions"})
               ? std::optional(theirs(fmt::format("{} has no instructions", file())))
               : std::nullopt;
  }

  /// Whatever an instruction with such a word makes the engine say.
  [[nodiscard]] std::optional<Sentence> dashes() const {
    const std::string misread =
        instruction_ == nullptr || !trigger_.empty() ? "" : misread_flag(*instruction_);
    return misread.empty() ? std::nullopt : std::optional(theirs(placed(misread)));
  }

  /// A heredoc's body, read as instructions by a frontend older than 1.4.
  [[nodiscard]] std::optional<Sentence> heredoc() const {
    const bool in_body = instruction_ != nullptr && text_.contains("parse error") &&
                         instruction_->text.contains("<<") &&
                         place_.first > instruction_->lines.first;
    return in_body ? std::optional(too_new("heredocs (<<)", instruction_->lines.first))
                   : std::nullopt;
  }

  /// dockerfile/instructions: "Unknown flag: x" up to 0.9, "unknown flag: --x" since.
  [[nodiscard]] std::optional<Sentence> unknown_flag() const {
    constexpr std::string_view k_mark = "nknown flag: ";
    if (!text_.contains(k_mark) || instruction_ == nullptr) {
      return std::nullopt;
    }
    std::string flag = between(text_, k_mark, " ");
    flag.erase(0, flag.find_first_not_of('-'));
    const std::string& keyword = instruction_->keyword;
    if (const auto denied = forbidden_mode()) {
      return denied;
    }
    if (const std::string newer = newer_flag(keyword, flag); !newer.empty()) {
      return too_new(newer, place_.first);
    }
    const std::string meant = nearest_flag(keyword, flag);
    return theirs(
        placed(fmt::format("{} has no flag --{}{}", keyword, truncate_characters(flag, 40),
                           meant.empty() ? "" : "; did you mean --" + meant + "?")));
  }

  /// llbsolver, util/entitlements; old frontends do not even know the flag.
  [[nodiscard]] std::optional<Sentence> forbidden_mode() const {
    if (instruction_ == nullptr || instruction_->keyword != "RUN" ||
        !has_any(text_, {"is not allowed", "nknown flag: "})) {
      return std::nullopt;
    }
    const auto flags = parts_of(instruction_->text).flags;
    if (std::ranges::find(flags, "--network=host") != flags.end()) {
      return theirs(placed("builds here may not use the host's network; remove --network=host"));
    }
    if (std::ranges::find(flags, "--security=insecure") != flags.end()) {
      return theirs(placed("builds here have no privileges; remove --security=insecure"));
    }
    return std::nullopt;
  }

  /// dockerfile/parser and instructions.
  [[nodiscard]] std::optional<Sentence> unknown_instruction() const {
    if (!text_.contains("unknown instruction: ") || place_.first == 0 ||
        place_.first > dockerfile_.lines().size()) {
      return std::nullopt;
    }
    std::string_view line = dockerfile_.lines()[place_.first - 1];
    line.remove_prefix(std::min(line.find_first_not_of(" \t\xEF\xBB\xBF"), line.size()));
    const std::string word(line.substr(0, line.find_first_of(" \t\r")));
    const std::string meant = nearest_keyword(upper_case(word));
    const bool continues = word.starts_with('-') || word.starts_with("&&") || word.starts_with('|');
    return theirs(placed(fmt::format("unknown instruction: {}{}",
                                     truncate_characters(printable_columns(word), 60),
                                     !meant.empty() ? "; did you mean " + meant + "?"
                                     : continues    ? "; does the line before lack a \\ at its end?"
                                                    : "")));
  }

  /// dockerfile/instructions, of --mount.
  [[nodiscard]] std::optional<Sentence> mount_option() const {
    const std::string option = between(text_, "unexpected key '", "'");
    if (option.empty()) {
      return std::nullopt;
    }
    if (const std::string newer = newer_mount_option(option); !newer.empty()) {
      return too_new(newer, place_.first);
    }
    const std::string meant = nearest_mount_option(option);
    return theirs(placed(fmt::format("--mount has no option {}={}", truncate_characters(option, 40),
                                     meant.empty() ? "" : "; did you mean " + meant + "=?")));
  }

  /// dockerfile/shell: ${V#x}, ${V%x} and ${V/x/y} came with 1.7 and later.
  [[nodiscard]] std::optional<Sentence> substitution() const {
    const std::string word = between(text_, "failed to process \"", "\":");
    if (word.empty()) {
      return std::nullopt;
    }
    const std::string shown = truncate_characters(word, 60);
    const std::size_t open = word.find("${");
    if (open != std::string::npos && word.find('}', open) == std::string::npos) {
      return theirs(placed(fmt::format("\"{}\" lacks its closing brace }}", shown)));
    }
    if (text_.contains("missing ':' in substitution")) {
      return too_new(shown, place_.first);
    }
    return std::nullopt;
  }

  /// dockerfile2llb.
  [[nodiscard]] std::optional<Sentence> stages() const {
    const std::string index = between(text_, "invalid stage index ", " ");
    if (!index.empty()) {
      return theirs(placed(fmt::format(
          "there is no stage {} to copy from; the stages before this line are counted from 0",
          truncate_characters(index, 20))));
    }
    const std::string name = between(text_, "failed to parse stage name \"", "\"");
    if (name.starts_with('$') || text_.contains("variable expansion is not supported for --from")) {
      return theirs(
          placed("no variable can stand in --from; name a stage there, and let that be "
                 "FROM the variable"));
    }
    if (!name.empty() && text_.contains("invalid reference format")) {
      return theirs(placed(
          fmt::format("\"{}\" is no name of an image or stage{}", truncate_characters(name, 60),
                      text_.contains("lowercase") ? ": it has to be in lower case" : "")));
    }
    return std::nullopt;
  }

  /// dockerfile2llb's lint, since BuildKit 0.14, with `# check=error=true`.
  [[nodiscard]] std::optional<Sentence> lint() const {
    if (text_.contains("failed to parse check option")) {
      return theirs(at_line(dockerfile_.directive_line("check"), plain_words(text_)));
    }
    constexpr std::string_view k_mark = "lint violation found for rules: ";
    const std::string rules = between(text_, k_mark, ";");
    if (rules.empty()) {
      return std::nullopt;
    }
    const auto first = std::ranges::find_if(solve_.warnings, [&](const BuildWarning& warning) {
      return rules.contains(warning.text.substr(0, warning.text.find(':')));
    });
    if (first == solve_.warnings.end()) {
      return theirs(
          at_line(dockerfile_.directive_line("check"), "this makes warnings errors: " + rules));
    }
    std::string text = first->text;
    if (const std::size_t at = text.rfind(" (line "); at != std::string::npos) {
      text.resize(at);
    }
    const auto others = std::ranges::count(rules, ',');
    return theirs(
        at_line(first->line, fmt::format("\"# check=error=true\" makes this an error: {}{}", text,
                                         others > 0 ? fmt::format(" (and {} more)", others) : "")));
  }

  /// Graph driver overlay2 and its kin: 125 layers fit into one mount.
  [[nodiscard]] std::optional<Sentence> too_many_layers() const {
    return text_.contains("max depth exceeded")
               ? std::optional(theirs(placed("the image has more than 125 layers here, which this "
                                             "engine cannot build; join RUN lines with &&")))
               : std::nullopt;
  }

  /// runc's user lookup, for RUN and WORKDIR; contenthash and fileop's for --chown.
  [[nodiscard]] std::optional<Sentence> unknown_user() const {
    for (const std::string what : {"user", "group"}) {
      const std::string name = between(cause_, "unable to find " + what + " ", ":");
      if (name.empty()) {
        continue;
      }
      const Instruction* named = nullptr;
      for (const Instruction& each : dockerfile_.instructions()) {
        if (instruction_ != nullptr && each.lines.first >= instruction_->lines.first) {
          break;
        }
        named = each.keyword == "FROM" ? nullptr : each.keyword == "USER" ? &each : named;
      }
      return theirs(placed(fmt::format(
          "{} \"{}\"{} does not exist in the image; create it in a RUN before, or use its number",
          what, truncate_characters(name, 40),
          named == nullptr ? "" : fmt::format(" of line {}", named->lines.first))));
    }
    const bool reads_names =
        has_any(text_, {"/etc/passwd: no such file", "/etc/group: no such file",
                        "invalid user index", "no matching entries"});
    if (reads_names && command().contains("--chown=")) {
      const std::string owner = between(command(), "--chown=", " ");
      return theirs(placed(fmt::format(
          "--chown={}: the image has no such user or group; create it in a RUN before, or use "
          "numbers",
          truncate_characters(owner, 40))));
    }
    const std::string value = between(text_, "invalid value ", " for ");
    if (!value.empty() && has_any(text_, {" for uid", " for gid"})) {
      return theirs(placed(fmt::format("a mount's uid and gid are numbers, not \"{}\"",
                                       truncate_characters(value, 40))));
    }
    return std::nullopt;
  }

  /// session/sshforward: BuildKit says "" up to some version and "default" since.
  [[nodiscard]] std::optional<Sentence> no_ssh() const {
    const bool is_git_source =
        instruction_ != nullptr && instruction_->keyword == "ADD" &&
        std::ranges::any_of(parts_of(instruction_->text).words, [](const std::string& word) {
          return word.starts_with("git@") || word.starts_with("ssh://");
        });
    if (!text_.contains("no SSH key ") && !is_git_source) {
      return std::nullopt;
    }
    return theirs(
        placed("builds here have no SSH agent and no SSH keys; take it over https, or "
               "commit it to the repository"));
  }

  /// The secrets provider of the session: ours.
  [[nodiscard]] std::optional<Sentence> missing_secret() const {
    const std::size_t at = text_.find("secret ");
    if (at == std::string::npos || !text_.ends_with("not found")) {
      return std::nullopt;
    }
    const std::size_t end = text_.find_first_of(": ", at + 7);
    const std::string name = text_.substr(at + 7, end == std::string::npos ? end : end - at - 7);
    return theirs(placed(fmt::format(
        "the build needs the secret \"{}\", and the service has no variable of that name",
        truncate_characters(name, 60))));
  }

  [[nodiscard]] std::optional<Sentence> missing_dockerfile() const {
    if (!text_.contains("failed to read dockerfile") ||
        !has_any(text_, {"no such file or directory", "not found"})) {
      return std::nullopt;
    }
    return theirs(
        fmt::format("{} was not found in the repository", truncate_characters(file(), 120)));
  }

  /// contenthash ("x" not found), fileop (lstat x: no such file or directory).
  [[nodiscard]] std::optional<Sentence> missing_source() const {
    std::string named = quoted_before(text_, "\" not found");
    if (named.empty()) {
      named = quoted_before(text_, "\": not found");  // BuildKit >= 0.10.
    }
    const std::string& written =
        trigger_.empty() && instruction_ != nullptr ? instruction_->text : trigger_;
    const bool takes_files =
        written.starts_with("COPY") || written.starts_with("ADD") ||
        (instruction_ != nullptr && has_any(instruction_->keyword, {"COPY", "ADD"}));
    const bool is_path = takes_files && has_any(text_, {"no such file or directory",
                                                        "no source files were specified"});
    if (!is_path && (named.empty() || !text_.ends_with("not found"))) {
      return std::nullopt;
    }
    named.erase(0, named.starts_with('/') ? 1 : 0);
    if (written.contains("--from=") || written.contains(",from=")) {
      return theirs(placed(fmt::format("\"{}\" not found in the stage or image named by --from",
                                       truncate_characters(named.empty() ? written : named, 70))));
    }
    const std::string source = source_meant(written, named);
    const std::string why =
        solve_.context == nullptr
            ? fmt::format("\"{}\" not found in the repository, or excluded by .dockerignore",
                          truncate_characters(source, 70))
            : ContextView(*solve_.context, solve_.dockerfile).why_missing(source);
    if (!typographic_quotes(source).empty()) {
      return theirs(placed(fmt::format("{} is no quote here, and part of the path; type \"",
                                       typographic_quotes(written))));
    }
    return theirs(
        placed(why + (trigger_.empty() ? "" : " (an ONBUILD of the base image wants it)")));
  }

  /// The source as the Dockerfile writes it, or as the engine names it.
  [[nodiscard]] std::string source_meant(std::string_view written, const std::string& named) const {
    // Where variables stand, the step's name has their values.
    std::string text(written);
    if (text.contains('$') && step_ != nullptr) {
      const std::size_t close = step_->name.find("] ");
      text = close == std::string::npos ? text : step_->name.substr(close + 2);
    }
    const std::vector<std::string> sources = context_sources(text);
    for (const std::string& source : sources) {
      const std::size_t begin = std::min(source.find_first_not_of("./"), source.size());
      if (!named.empty() && std::string_view(source).substr(begin).starts_with(named)) {
        return source;
      }
    }
    for (const std::string& source : sources) {
      if (solve_.context != nullptr && !context_has(source)) {
        return source;
      }
    }
    // A pattern that meets nothing, or something only the engine sees.
    return !named.empty() ? named : sources.size() == 1 ? sources.front() : std::string(written);
  }

  /// filepath.Match, of a source.
  [[nodiscard]] std::optional<Sentence> bad_pattern() const {
    if (!text_.ends_with("syntax error in pattern") || instruction_ == nullptr) {
      return std::nullopt;
    }
    return theirs(placed("a [ without its ] makes no pattern; write [[] for a plain ["));
  }

  /// dockerfile2llb, of --chmod: the words of strconv.
  [[nodiscard]] std::optional<Sentence> bad_mode() const {
    if (text_ != "invalid syntax" || !command().contains("--chmod=")) {
      return std::nullopt;
    }
    return theirs(
        placed(fmt::format("--chmod={} is no mode; write it in octal, as in --chmod=755",
                           truncate_characters(between(command(), "--chmod=", " "), 30))));
  }

  /// The gateway frontend's image.
  [[nodiscard]] std::optional<Sentence> missing_frontend() const {
    const auto& frontend = dockerfile_.frontend();
    if (!frontend || step_ == nullptr || !step_->name.contains("resolve image config for ")) {
      return std::nullopt;
    }
    const bool is_away = is_network_trouble(text_);
    return Sentence{
        .kind = is_away ? ErrorKind::unavailable : ErrorKind::build_failed,
        .line = at_line(frontend->line,
                        fmt::format("the frontend \"{}\" named by \"# syntax=\" {}",
                                    truncate_characters(printable_columns(frontend->reference), 80),
                                    is_away ? "could not be fetched: its registry cannot be reached"
                                            : "does not exist or needs a login"))};
  }

  /// Resolvers of base images and sources.
  [[nodiscard]] std::optional<Sentence> base_image() const {
    // "FROM x" without a stage: an image that only a --from names.
    const bool of_base =
        step_ != nullptr &&
        (step_->name.contains("load metadata for ") || step_->name.contains("] FROM ") ||
         step_->name.starts_with("FROM ") || step_->name.contains("resolve image config for "));
    if (is_network_trouble(text_)) {
      // An ADD of an URL, or a base image: the customer sees which one; it may be tried again.
      return Sentence{
          .kind = ErrorKind::unavailable,
          .line = of_base ? placed(fmt::format("the registry of base image \"{}\" could not be "
                                               "reached",
                                               truncate_characters(reference(), 90)))
                          : placed("a server this step needs could not be reached")};
    }
    if (has_any(text_, {"denied by policy", "not allowed by policy"})) {
      return theirs(denied());
    }
    if (solve_.registry_is_closed && (of_base || text_.contains(solve_.registry))) {
      return theirs(
          placed("images of the platform's own registry cannot be used with this build engine; "
                 "take one from another registry"));
    }
    constexpr std::string_view k_pulling = "pulling from host ";
    if (text_.contains(k_pulling) && !of_base) {
      // Of an image that only a COPY or a mount names there is no step.
      return theirs(
          placed(fmt::format("an image at {} named by --from or from= does not exist or "
                             "needs a login",
                             truncate_characters(between(text_, k_pulling, " "), 60))));
    }
    if (!of_base) {
      return std::nullopt;
    }
    const bool is_from = instruction_ == nullptr || instruction_->keyword == "FROM";
    if (text_.contains("no match for platform")) {
      return theirs(placed(missing_variant()));
    }
    if (has_any(text_, {"not found", "manifest unknown", "pull access denied", "denied",
                        "insufficient_scope", "unauthorized", "authorization failed", "401", "403",
                        "404"})) {
      return theirs(placed(
          is_from
              ? fmt::format("base image \"{}\" does not exist or needs a login",
                            truncate_characters(reference(), 90))
              : fmt::format("--from: \"{}\" is no stage before this line, and no image that can "
                            "be fetched",
                            truncate_characters(written_image(), 70))));
    }
    return std::nullopt;
  }

  [[nodiscard]] std::string missing_variant() const {
    // `[linux/arm64 internal] load metadata for …`, where there are several.
    const std::size_t mark = step_->name.find(" internal] ");
    const std::string platform = step_->name.starts_with('[') && mark != std::string::npos
                                     ? step_->name.substr(1, mark - 1)
                                     : solve_.platform;
    std::string offered;
    if (solve_.platforms_of) {
      const std::vector<std::string> all = solve_.platforms_of(reference());
      offered = fmt::format("{}", fmt::join(all, ", "));
    }
    return fmt::format("base image \"{}\" has no variant for {}{}",
                       truncate_characters(reference(), 70), truncate_characters(platform, 30),
                       offered.empty() ? "" : "; it is for " + offered);
  }

  /// A source that the rules for Dockerfiles refuse.
  [[nodiscard]] std::string denied() const {
    std::string source = quoted_before(text_, "\" denied by policy");
    if (source.empty()) {
      source = quoted_before(text_, "\" not allowed by policy");
    }
    const std::size_t mark = source.find("://");
    if (mark == std::string::npos) {
      return placed("a source of this step is not allowed here");
    }
    const bool is_image = !source.starts_with("http") && !source.starts_with("git");
    if (auto refusal = refused_by_policy(source.substr(mark + 3)); is_image && !refusal.empty()) {
      return in_front_of(source, refusal);
    }
    std::string host = source.substr(mark + 3);
    host.resize(std::min(host.find_first_of("/?#"), host.size()));
    host.erase(0, host.rfind('@') + 1);
    if (is_image && !solve_.registry.empty() && host == solve_.registry) {
      return placed(
          "the image named here belongs to another service of the platform and cannot be "
          "used");
    }
    return in_front_of(source, host_refusal(host.substr(0, host.rfind(':')), is_image));
  }

  /// Empty: the operator's policy lets the image in.
  [[nodiscard]] std::string refused_by_policy(const std::string& name) const {
    const auto image = oci::parse_reference(name);
    if (solve_.policy == nullptr || !image) {
      return {};
    }
    const auto rule = solve_.policy->rule_for(*image);
    return !rule ? rule.error()
           : *rule != nullptr && (*rule)->needs_signature()
               ? fmt::format(
                     "the policy \"{}\" wants {} signed, and the Dockerfile does not name it",
                     (*rule)->name, policy::shown(*image))
               : std::string();
  }

  /// With the line of the instruction that names `source`, where the engine gave none.
  [[nodiscard]] std::string in_front_of(const std::string& source, const std::string& text) const {
    if (place_.first == 0) {
      const std::string name = source.substr(source.find("://") + 3);
      std::vector<std::size_t> with_variable;
      for (const Instruction& instruction : dockerfile_.instructions()) {
        if (instruction.text.contains(name)) {
          return fmt::format("{}:{}: {}", file(), instruction.lines.first, text);
        }
        if (instruction.keyword == "ADD" && instruction.text.contains('$')) {
          with_variable.push_back(instruction.lines.first);
        }
      }
      if (with_variable.size() == 1 && !source.starts_with("docker")) {
        return fmt::format("{}:{}: {}", file(), with_variable.front(), text);
      }
    }
    return placed(text);
  }

  /// The base image as written in the step's name.
  [[nodiscard]] std::string reference() const {
    for (const std::string_view mark :
         {"load metadata for ", "FROM ", "resolve image config for "}) {
      const std::size_t at = step_->name.find(mark);
      if (at != std::string::npos) {
        return step_->name.substr(at + mark.size());
      }
    }
    return step_->name;
  }

  /// The image of a --from as the Dockerfile writes it.
  [[nodiscard]] std::string written_image() const {
    const auto images =
        instruction_ == nullptr ? std::vector<std::string>() : named_images(*instruction_);
    return images.size() == 1 ? images.front() : reference();
  }

  /// What a parser says is said well enough.
  [[nodiscard]] std::optional<Sentence> other_syntax() const {
    for (const std::string_view mark : {"parse error line ", "parse error on line "}) {
      const std::size_t at = text_.find(mark);
      const std::size_t colon = text_.find(": ", at == std::string::npos ? 0 : at);
      if (at != std::string::npos && colon != std::string::npos) {
        return theirs(placed(plain_words(text_.substr(colon + 2))));
      }
    }
    return std::nullopt;
  }

  const FailedSolve& solve_;
  Details details_;
  Dockerfile dockerfile_;
  std::string text_;
  std::string cause_;  ///< Of `text_`, without the command it quotes.
  const FailedStep* step_ = nullptr;
  const Instruction* instruction_ = nullptr;
  std::string trigger_;  ///< Of the base image of `instruction_`, a FROM.
  LineRange place_;
};

const std::array<Explainer::Recogniser, 24> Explainer::k_recognisers{
    &Explainer::not_text,
    &Explainer::not_utf8,
    &Explainer::long_line,
    &Explainer::no_instructions,
    &Explainer::dashes,
    &Explainer::heredoc,
    &Explainer::unknown_flag,
    &Explainer::forbidden_mode,
    &Explainer::unknown_instruction,
    &Explainer::mount_option,
    &Explainer::substitution,
    &Explainer::stages,
    &Explainer::lint,
    &Explainer::too_many_layers,
    &Explainer::unknown_user,
    &Explainer::no_ssh,
    &Explainer::missing_secret,
    &Explainer::missing_frontend,
    &Explainer::other_syntax,
    &Explainer::bad_pattern,
    &Explainer::bad_mode,
    &Explainer::missing_source,
    &Explainer::missing_dockerfile,
    &Explainer::base_image};

}  // namespace

Explanation explain(const FailedSolve& solve) {
  return Explainer(solve).run();
}

std::optional<Error> wrong_platform(const std::string& dockerfile, std::string_view text,
                                    const std::vector<BuildWarning>& warnings,
                                    std::string_view architecture) {
  const Dockerfile parsed(text);
  const Instruction* base = parsed.final_base();
  if (base == nullptr) {
    return std::nullopt;
  }
  const bool is_scratch = named_images(*base).front() == "scratch";
  const std::string asked = parsed.platform_of(*base);
  std::string platform;
  bool is_flag = false;
  if (!is_scratch && !runs_on_the_platform(asked)) {
    platform = asked;
    is_flag = true;
  }
  // dockerfile2llb/validations.go: Base image X was pulled with platform "P", expected "Q" …
  for (const BuildWarning& warning : warnings) {
    const std::string pulled = between(warning.text, "was pulled with platform \"", "\"");
    if (warning.text.starts_with("InvalidBaseImagePlatform") && platform.empty() &&
        warning.line == base->lines.first && !runs_on_the_platform(pulled)) {
      platform = pulled;
    }
  }
  if (platform.empty() && !runs_on_the_platform(architecture)) {
    platform = "linux/" + std::string(architecture);
  }
  if (platform.empty()) {
    return std::nullopt;
  }
  return Error{.kind = ErrorKind::build_failed,
               .message = "the image is for " + platform,
               .customer = truncate_characters(
                   fmt::format("{}:{}: {}", printable_columns(dockerfile), base->lines.first,
                               platform_sentence(platform, is_flag)),
                   k_customer_limit)};
}

}  // namespace builder::adapters::buildkit
