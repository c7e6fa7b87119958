#include "adapters/buildkit/build_error.hpp"

#include "adapters/buildkit/dockerfile.hpp"
#include "adapters/buildkit/error_details.hpp"
#include "adapters/buildkit/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

/// Without the daemon's nesting, and without paths of its disk.
std::string stripped(std::string text) {
  constexpr std::array<std::string_view, 8> k_prefixes{
      "failed to solve with frontend dockerfile.v0: ",
      "failed to solve with frontend gateway.v0: ",
      "failed to solve: ",
      "failed to create LLB definition: ",
      "failed to build LLB: ",
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
  constexpr std::string_view k_mount = "buildkit-mount";
  for (std::size_t at = text.find(k_mount); at != std::string::npos; at = text.find(k_mount)) {
    const std::size_t before = text.find_last_of(" \"'", at);
    const std::size_t begin = before == std::string::npos ? 0 : before + 1;
    const std::size_t slash = text.find_first_of("/ \"':", at);
    const std::size_t end = slash == std::string::npos ? text.size() : slash;
    text.erase(begin, end - begin + (end < text.size() && text[end] == '/' ? 1 : 0));
  }
  return one_line(text);
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

/// A joined instruction keeps the indentation of its lines; one blank says as much.
std::string without_runs_of_blanks(std::string_view text) {
  std::string out;
  for (const char c : one_line(text)) {
    if (c != ' ' || !out.ends_with(' ')) {
      out += c;
    }
  }
  return out;
}

bool has_any(std::string_view text, std::initializer_list<std::string_view> marks) {
  return std::ranges::any_of(marks, [text](std::string_view mark) { return text.contains(mark); });
}

/// The registry, or the way to it, is in trouble; the base image may well be there.
bool is_network_trouble(std::string_view text) {
  return has_any(text, {"i/o timeout",
                        "connection refused",
                        "connection reset",
                        "no such host",
                        "TLS handshake timeout",
                        "Temporary failure in name resolution",
                        "server misbehaving",
                        "network is unreachable",
                        "no route to host",
                        "toomanyrequests",
                        "Too Many Requests",
                        "unexpected EOF",
                        "context deadline exceeded",
                        "Client.Timeout exceeded",
                        ": 500 ",
                        ": 502 ",
                        ": 503 ",
                        ": 504 ",
                        "Internal Server Error",
                        "Bad Gateway",
                        "Service Unavailable",
                        "Gateway Timeout"});
}

class Explainer {
 public:
  explicit Explainer(const FailedSolve& solve)
      : solve_(solve),
        details_(read_details(solve.status)),
        dockerfile_(solve.dockerfile_text.value_or("")),
        text_(stripped(solve.status.error_message())) {
    find_step();
    find_place();
  }

  Explanation run() {
    if (is_engine_lost()) {
      Explanation lost = finish(ErrorKind::unavailable, "");
      lost.engine_lost = true;
      return lost;
    }
    if (const std::size_t at = text_.find("failed to push "); at != std::string::npos) {
      Explanation out = finish(ErrorKind::unavailable, "");
      out.push_error = text_.substr(at);
      return out;
    }
    if (const std::optional<int> code = exit_code()) {
      return run_failed(*code);
    }
    if (solve_.status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
        text_.contains("no space left on device")) {
      return finish(ErrorKind::unavailable, "");
    }
    if (Explanation known; syntax(known) || missing_source(known) || missing_secret(known) ||
                           missing_dockerfile(known) || base_image(known)) {
      return known;
    }
    return finish(ErrorKind::build_failed, placed(text_.empty() ? "the build failed" : text_));
  }

 private:
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
    place_ = details_.lines;
    if (place_.first == 0) {
      for (const std::string_view mark : {"parse error line ", "parse error on line "}) {
        if (const auto line = number_after(text_, mark); line && *line > 0) {
          place_ = {.first = static_cast<std::size_t>(*line),
                    .last = static_cast<std::size_t>(*line)};
        }
      }
    }
    if (place_.first == 0 && step_ != nullptr) {
      instruction_ = dockerfile_.find_step(step_->name);
      place_ = instruction_ == nullptr ? LineRange{} : instruction_->lines;
    } else if (place_.first != 0) {
      instruction_ = dockerfile_.at_line(place_.first);
    }
    if (place_.first == 0) {
      find_place_by_words();
    }
  }

  /// Old engines give neither a line nor a step for what they refuse before they build.
  void find_place_by_words() {
    for (const Instruction& instruction : dockerfile_.instructions()) {
      const bool is_from = instruction.keyword == "FROM";
      const auto names = [&](std::string_view before, std::string_view after,
                             const std::string& prefix) {
        const std::size_t at = text_.find(before);
        if (at == std::string::npos) {
          return false;
        }
        const std::size_t begin = at + before.size();
        const std::string word = text_.substr(begin, text_.find(after, begin) - begin);
        return !word.empty() && instruction.text.contains(prefix + word);
      };
      const bool found =
          (text_.contains("no build stage in current context") && !is_from &&
           instruction.keyword != "ARG") ||
          (!is_from && names("circular dependency detected on stage: ", " ", "--from=")) ||
          (instruction.keyword == "ADD" && names("\"http", "\"", "http")) ||
          (is_from && names("base name (", ")", ""));
      if (found) {
        place_ = instruction.lines;
        instruction_ = &instruction;
        return;
      }
    }
  }

  [[nodiscard]] std::string file() const { return one_line(solve_.dockerfile); }

  [[nodiscard]] std::string placed(const std::string& text) const {
    return place_.first == 0 ? fmt::format("{}: {}", file(), text)
                             : fmt::format("{}:{}: {}", file(), place_.first, text);
  }

  [[nodiscard]] Explanation finish(ErrorKind kind, const std::string& customer) const {
    Explanation out;
    out.error = Error{.kind = kind,
                      .message = fmt::format("solve failed with code {}: {}",
                                             static_cast<int>(solve_.status.error_code()),
                                             one_line(solve_.status.error_message())),
                      .customer = shortened(one_line(customer), k_customer_limit)};
    if (kind == ErrorKind::build_failed) {
      if (step_ != nullptr && !step_->name.starts_with("[internal]")) {
        out.excerpt.push_back(fmt::format("Step {} failed: {}", step_->number,
                                          shortened(step_->name, k_customer_limit)));
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
           text_.ends_with("context canceled") || text_.contains("no active session") ||
           (!exit_code() && has_any(text_, {"transport is closing", "rpc error: code = Unavailable",
                                            "the client connection is closing", "Stream removed"}));
  }

  [[nodiscard]] std::optional<int> exit_code() const {
    return details_.exit_code ? details_.exit_code : number_after(text_, "exit code: ");
  }

  Explanation run_failed(int code) const {
    std::string command = "a RUN step";
    if (instruction_ != nullptr) {
      command = instruction_->text;
    } else if (step_ != nullptr) {
      const std::size_t close = step_->name.find("] ");
      command = close == std::string::npos ? step_->name : step_->name.substr(close + 2);
    }
    // 137 is SIGKILL, which nearly always is the kernel's out-of-memory killer.
    const std::string end =
        fmt::format("\" failed with exit code {}{}", code, code == 137 ? k_killed_guess : "");
    const std::string begin = placed("\"");
    const std::size_t used = std::min(begin.size() + end.size(), k_customer_limit);
    Explanation out =
        finish(ErrorKind::build_failed,
               begin + shortened(without_runs_of_blanks(command), k_customer_limit - used) + end);
    out.exit_code = code;
    return out;
  }

  bool syntax(Explanation& out) const {
    for (const std::string_view mark : {"parse error line ", "parse error on line "}) {
      const std::size_t at = text_.find(mark);
      const std::size_t colon = text_.find(": ", at == std::string::npos ? 0 : at);
      if (at != std::string::npos && colon != std::string::npos) {
        out = finish(ErrorKind::build_failed, placed(text_.substr(colon + 2)));
        return true;
      }
    }
    if (has_any(text_, {"Dockerfile cannot be empty", "file with no instructions"})) {
      out = finish(ErrorKind::build_failed, fmt::format("{} has no instructions", file()));
      return true;
    }
    return false;
  }

  bool missing_source(Explanation& out) const {
    std::string source = quoted_before(text_, "\" not found");
    if (source.empty()) {
      source = quoted_before(text_, "\": not found");  // BuildKit >= 0.10.
    }
    if (source.empty() && instruction_ != nullptr &&
        (instruction_->keyword == "COPY" || instruction_->keyword == "ADD") &&
        has_any(text_, {"no such file or directory", "no source files were specified"})) {
      source = instruction_->text;
    } else if (source.empty() || !text_.ends_with("not found")) {
      return false;
    }
    if (source.starts_with('/')) {
      source.erase(0, 1);
    }
    const bool other_stage = instruction_ != nullptr && instruction_->text.contains("--from=");
    out = finish(ErrorKind::build_failed,
                 placed(fmt::format("\"{}\" not found in {}", shortened(source, 70),
                                    other_stage ? "the stage or image named by --from"
                                                : "the repository, or excluded by .dockerignore")));
    return true;
  }

  bool missing_secret(Explanation& out) const {
    const std::size_t at = text_.find("secret ");
    if (at == std::string::npos || !text_.ends_with("not found")) {
      return false;
    }
    const std::size_t end = text_.find_first_of(": ", at + 7);
    const std::string name = text_.substr(at + 7, end == std::string::npos ? end : end - at - 7);
    out = finish(ErrorKind::build_failed,
                 placed(fmt::format("the build needs the secret \"{}\", which is not available",
                                    shortened(name, 60))));
    return true;
  }

  bool missing_dockerfile(Explanation& out) const {
    if (!text_.contains("failed to read dockerfile") ||
        !has_any(text_, {"no such file or directory", "not found"})) {
      return false;
    }
    out = finish(ErrorKind::build_failed,
                 fmt::format("{} was not found in the repository", shortened(file(), 120)));
    return true;
  }

  bool base_image(Explanation& out) const {
    // "FROM x" without a stage: an image that only a --from names.
    const bool of_base =
        step_ != nullptr &&
        (step_->name.contains("load metadata for ") || step_->name.contains("] FROM ") ||
         step_->name.starts_with("FROM ") || step_->name.contains("resolve image config for "));
    if (is_network_trouble(text_)) {
      // An ADD of an URL, or a base image: the customer sees which one; it may be tried again.
      out = finish(ErrorKind::unavailable,
                   of_base ? placed(fmt::format("the registry of base image \"{}\" could not be "
                                                "reached",
                                                shortened(reference(), 90)))
                           : placed("a server this step needs could not be reached"));
      return true;
    }
    if (has_any(text_, {"denied by policy", "not allowed by policy"})) {
      out = finish(ErrorKind::build_failed,
                   placed("the image named here belongs to another service of the platform and "
                          "cannot be used"));
      return true;
    }
    constexpr std::string_view k_pulling = "pulling from host ";
    if (const std::size_t at = text_.find(k_pulling); at != std::string::npos && !of_base) {
      // Of an image that only a COPY or a mount names there is no step.
      const std::size_t begin = at + k_pulling.size();
      const std::string host = text_.substr(begin, text_.find(' ', begin) - begin);
      out = finish(ErrorKind::build_failed,
                   placed(fmt::format("an image at {} named by --from or from= does not exist or "
                                      "needs a login",
                                      shortened(host, 60))));
      return true;
    }
    if (!of_base) {
      return false;
    }
    std::string why = text_;
    if (text_.contains("no match for platform")) {
      why = fmt::format("base image \"{}\" has no variant for linux/amd64",
                        shortened(reference(), 90));
    } else if (has_any(text_, {"not found", "manifest unknown", "pull access denied", "denied",
                               "insufficient_scope", "unauthorized", "authorization failed", "401",
                               "403", "404"})) {
      why = fmt::format("base image \"{}\" does not exist or needs a login",
                        shortened(reference(), 90));
    }
    out = finish(ErrorKind::build_failed, placed(why));
    return true;
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

  const FailedSolve& solve_;
  Details details_;
  Dockerfile dockerfile_;
  std::string text_;
  const FailedStep* step_ = nullptr;
  const Instruction* instruction_ = nullptr;
  LineRange place_;
};

}  // namespace

Explanation explain(const FailedSolve& solve) {
  return Explainer(solve).run();
}

}  // namespace builder::adapters::buildkit
