#include "adapters/buildkit/failure.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <vector>

#include "base/text.hpp"
#include "rpc_status.pb.h"

namespace builder::adapters::buildkit {

namespace {

constexpr std::size_t k_customer_characters = 191;
constexpr std::size_t k_shown_command = 70;

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    if (line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// The number behind the last occurrence of `mark`; -1 when there is none.
int number_behind(std::string_view text, std::string_view mark) {
  const std::size_t at = text.rfind(mark);
  if (at == std::string_view::npos) {
    return -1;
  }
  const std::string_view digits = text.substr(at + mark.size());
  int number = -1;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

/// What BuildKit puts before the reason.
std::string_view without_prefixes(std::string_view text) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view prefix :
         {"failed to solve with frontend dockerfile.v0: ", "failed to solve: ", "failed to build LLB: ",
          "failed to create LLB definition: ", "rpc error: code = Unknown desc = ",
          "failed to solve with frontend gateway.v0: ", "dockerfile parse error: "}) {
      if (text.starts_with(prefix)) {
        text.remove_prefix(prefix.size());
        again = true;
      }
    }
  }
  return text;
}

/// "[stage-1 2/4] RUN npm test" -> "RUN npm test".
std::string_view instruction_of(std::string_view step_name) {
  if (!step_name.starts_with('[')) {
    return {};
  }
  const std::size_t close = step_name.find("] ");
  return close == std::string_view::npos ? std::string_view() : step_name.substr(close + 2);
}

struct Details {
  int line = 0;
  int exit_code = -1;
};

/// Each detail is an Any whose value is JSON, whatever its type URL says about protobuf.
Details read_details(const std::string& bytes) {
  Details found;
  google::rpc::Status status;
  if (bytes.empty() || !status.ParseFromString(bytes)) {
    return found;
  }
  for (const auto& detail : status.details()) {
    const auto value = nlohmann::json::parse(detail.value(), nullptr, false);
    if (!value.is_object()) {
      continue;
    }
    if (detail.type_url().contains("errdefs.Source") && value.contains("ranges") &&
        value["ranges"].is_array() && !value["ranges"].empty() && found.line == 0) {
      const auto& range = value["ranges"][0];
      if (range.is_object() && range.contains("start") && range["start"].is_object() &&
          range["start"].contains("line") && range["start"]["line"].is_number_integer()) {
        found.line = range["start"]["line"].get<int>();
      }
    } else if (detail.type_url().contains("ExitMessage") && value.contains("Code") &&
               value["Code"].is_number_integer()) {
      found.exit_code = value["Code"].get<int>();
    }
  }
  return found;
}

std::string excerpt_of(std::string_view dockerfile, int line) {
  constexpr int k_around = 2;
  const auto lines = split_lines(dockerfile);
  const int count = static_cast<int>(lines.size());
  if (line < 1 || line > count) {
    return {};
  }
  std::string text;
  for (int i = std::max(1, line - k_around); i <= std::min(count, line + k_around); ++i) {
    text += fmt::format("{} {:3} | {}\n", i == line ? '>' : ' ', i,
                        cut_characters(lines[static_cast<std::size_t>(i - 1)], 160));
  }
  return text;
}

bool has_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](std::string_view word) { return text.contains(word); });
}

/// Trouble of the network or a registry that passes by itself.
bool is_passing(std::string_view text) {
  return has_any(text, {"i/o timeout", "connection refused", "connection reset", "TLS handshake timeout",
                        "unexpected status code 5", "502 Bad Gateway", "503 Service", "504 Gateway",
                        "temporary failure in name resolution", "Temporary failure in name resolution",
                        "no such host", "toomanyrequests", "context deadline exceeded",
                        "error reading from server", "no active session"});
}

bool is_image_missing(std::string_view text) {
  return has_any(text, {"pull access denied", "repository does not exist", "manifest unknown",
                        ": not found: not found", "failed to resolve source metadata",
                        "401 Unauthorized", "insufficient_scope", "no match for platform",
                        "failed to do request", "failed to authorize", "unexpected status code"});
}

/// The image a resolution failure is about.
std::string image_of(std::string_view text, const std::optional<FailedStep>& step) {
  if (constexpr std::string_view k_mark = "source metadata for ";
      step && step->name.contains("load metadata for ")) {
    return step->name.substr(step->name.find("load metadata for ") + 18);
  } else if (const std::size_t at = text.find(k_mark); at != std::string_view::npos) {
    const std::string_view rest = text.substr(at + k_mark.size());
    return std::string(rest.substr(0, rest.find(": ")));
  }
  return std::string(text.substr(0, text.find(": ")));
}

/// The path in `… "/x": not found`.
std::string missing_path(std::string_view text) {
  const std::size_t end = text.rfind("\": not found");
  const std::size_t begin = end == std::string_view::npos ? end : text.rfind('"', end - 1);
  return begin == std::string_view::npos ? std::string()
                                         : std::string(text.substr(begin + 1, end - begin - 1));
}

}  // namespace

int find_instruction(std::string_view dockerfile, std::string_view instruction) {
  const auto normal = [](std::string_view text) {
    std::string out = one_line(text);
    // The keyword's case is free in a Dockerfile and upper in BuildKit's names.
    for (char& c : out) {
      if (c == ' ') {
        break;
      }
      c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
    return out;
  };
  const std::string wanted = normal(instruction);
  const auto lines = split_lines(dockerfile);
  for (std::size_t i = 0; i < lines.size();) {
    const std::size_t first = i;
    std::string joined;
    for (bool more = true; more && i < lines.size(); ++i) {
      std::string_view line = lines[i];
      if (one_line(line).starts_with('#')) {
        more = !joined.empty();  // Comments may stand between continuation lines.
        continue;
      }
      while (line.ends_with(' ') || line.ends_with('\t')) {
        line.remove_suffix(1);
      }
      more = line.ends_with('\\');
      joined += line.substr(0, line.size() - (more ? 1 : 0));
    }
    const std::string text = normal(joined);
    if (!text.empty() && (text == wanted || (wanted.ends_with("…") &&
                                             text.starts_with(wanted.substr(0, wanted.size() - 3))))) {
      return static_cast<int>(first) + 1;
    }
  }
  return 0;
}

ExplainedFailure explain(const SolveFailure& failure) {
  const std::string_view reason = without_prefixes(failure.message);
  const Details details = read_details(failure.details);
  const std::string_view instruction =
      failure.step ? instruction_of(failure.step->name) : std::string_view();
  ExplainedFailure out{.error = {.kind = ErrorKind::build_failed, .message = one_line(failure.message)},
                       .excerpt = {}};
  std::string& customer = out.error.customer;

  int line = details.line;
  if (line == 0) {
    line = std::max(number_behind(failure.message, "parse error line "),
                    number_behind(failure.message, "parse error on line "));
  }
  if (line <= 0 && !instruction.empty()) {
    line = find_instruction(failure.dockerfile, instruction);
  }
  const std::string place =
      line > 0 ? fmt::format("{}:{}", failure.dockerfile_path, line) : failure.dockerfile_path;

  int exit_code = details.exit_code;
  if (exit_code < 0) {
    exit_code = number_behind(failure.message, "exit code: ");
  }
  const std::string command = cut_characters(one_line(instruction), k_shown_command);

  if (exit_code > 0 && !instruction.empty()) {
    customer = fmt::format("{}: '{}' failed with exit code {}{}; see its output in the log", place,
                           command, exit_code, exit_code == 137 ? " (killed, perhaps out of memory)" : "");
  } else if (failure.message.contains("parse error") || failure.message.contains("unknown instruction") ||
             failure.message.contains("Unknown flag")) {
    const std::size_t colon = reason.find(": ");
    const std::string_view what = failure.message.contains("parse error") && colon != std::string_view::npos
                                      ? reason.substr(colon + 2)
                                      : reason;
    customer = fmt::format("{}: syntax error: {}", place, what);
  } else if (const std::string path = missing_path(reason);
             !path.empty() && has_any(reason, {"cache key", "calculate checksum", "failed to walk"})) {
    customer = fmt::format("{}: '{}' is not in the build context; check the path, and that .dockerignore "
                           "does not exclude it", place, path);
  } else if (failure.message.contains("failed to read dockerfile")) {
    customer = fmt::format("{} could not be read; check the service's Dockerfile path",
                           failure.dockerfile_path);
  } else if (is_passing(failure.message)) {
    out.error.kind = ErrorKind::unavailable;
    customer = fmt::format("{}: a registry or host could not be reached: {}", place, reason);
  } else if (is_image_missing(failure.message) ||
             (failure.step && failure.step->name.contains("load metadata for "))) {
    customer = fmt::format("{}: the base image {} was not found, or may not be pulled; check its name",
                           place, image_of(reason, failure.step));
  } else if (!instruction.empty()) {
    customer = fmt::format("{}: '{}' failed: {}", place, command, reason);
  } else {
    customer = fmt::format("The image could not be built: {}", reason);
  }
  customer = cut_characters(one_line(customer), k_customer_characters);
  out.excerpt = excerpt_of(failure.dockerfile, line);
  return out;
}

}  // namespace builder::adapters::buildkit
