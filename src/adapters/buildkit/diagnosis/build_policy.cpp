#include "adapters/buildkit/diagnosis/build_policy.hpp"

#include "adapters/buildkit/diagnosis/build_error.hpp"
#include "adapters/buildkit/diagnosis/plain_dockerfile.hpp"
#include "adapters/oci/reference.hpp"
#include "base/ascii.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace builder::adapters::buildkit {

namespace {

using moby::buildkit::v1::PolicyRule;
using policy::ImagePattern;
using policy::ImageRule;
using policy::Policy;
using policy::Refused;

constexpr std::size_t k_shown = 60;
/// Each is a question to a registry or more.
constexpr std::size_t k_most_signed = 50;

std::string place_of(std::string_view file, std::size_t line) {
  std::string place = printable_line(file, k_shown);
  return line == 0 ? place : fmt::format("{}:{}", place, line);
}

std::string placed(std::string_view file, std::size_t line, std::string_view words) {
  return truncate_characters(fmt::format("{}: {}", place_of(file, line), words), k_customer_limit);
}

std::unexpected<Error> refused_at(std::string_view file, std::size_t line, std::string_view words) {
  return std::unexpected(
      Error{.kind = ErrorKind::build_failed,
            .message = fmt::format("POLICY_FILE: {}: {}", place_of(file, line), words),
            .customer = placed(file, line, words)});
}

// --- The text. ---

class Judge {
 public:
  Judge(const Policy& policy, const FrontendRules& frontends, const GivenArguments& given)
      : policy_(policy), frontends_(frontends), given_(given) {}

  std::vector<PolicyFinding> judge(std::string_view dockerfile) && {
    for (const NamedFrontend& frontend : named_frontends(dockerfile)) {
      judge_frontend(frontend);
    }
    if (const auto named = given_.find("BUILDKIT_SYNTAX"); named != given_.end()) {
      judge_frontend({.reference = named->second});
    }
    const auto instructions = read_plainly(dockerfile);
    if (!instructions) {
      refuse(instructions.error().line, "",
             "the policy cannot be kept here: the line " + instructions.error().what);
      return std::move(findings_);
    }
    for (const PlainImage& image : images_of(*instructions, given_)) {
      judge_image(image);
    }
    for (const PlainInstruction& instruction : *instructions) {
      judge_instruction(instruction);
    }
    judge_added(*instructions);
    std::ranges::stable_sort(findings_, {}, &PolicyFinding::line);
    return std::move(findings_);
  }

 private:
  void refuse(std::size_t line, std::string what, std::string refusal, std::string rule = {}) {
    findings_.push_back({.line = line,
                         .what = std::move(what),
                         .image = {},
                         .rule = std::move(rule),
                         .refusal = std::move(refusal)});
  }

  void judge_frontend(const NamedFrontend& frontend) {
    FrontendRules readers = frontends_;
    if (readers.any) {
      readers = *parse_frontend_rules("docker/dockerfile,docker/dockerfile-upstream");
    }
    const auto reference = oci::parse_reference(frontend.reference);
    const bool reads_dockerfiles =
        reference && std::ranges::any_of(readers.allowed, [&](const oci::Reference& reader) {
          return reader.host == reference->host && reader.repository == reference->repository;
        });
    if (!reads_dockerfiles) {
      refuse(frontend.line, frontend.reference,
             "the policy cannot be kept with another frontend than Docker's; remove the # syntax= "
             "line");
      return;
    }
    judge_reference(frontend.line, frontend.reference, *reference);
  }

  void judge_image(const PlainImage& image) {
    // What names are is asked of nobody who limits none.
    if (policy_.images.empty()) {
      return;
    }
    if (!image.name) {
      refuse(image.line, image.written,
             "the policy needs the name of this image written out, with variables of ARG lines "
             "before the first FROM at most");
      return;
    }
    const auto reference = oci::parse_reference(*image.name);
    if (!reference) {
      refuse(image.line, image.written,
             fmt::format("the policy allows no image \"{}\": this is no name of one",
                         printable_line(*image.name, k_shown)));
      return;
    }
    judge_reference(image.line, *image.name, *reference);
  }

  void judge_reference(std::size_t line, std::string written, const oci::Reference& reference) {
    const auto rule = policy_.rule_for(reference);
    if (!rule) {
      refuse(line, std::move(written), rule.error());
      return;
    }
    findings_.push_back({.line = line,
                         .what = std::move(written),
                         .image = reference,
                         .rule = *rule == nullptr ? std::string() : (*rule)->name,
                         .needs_signature = *rule != nullptr && (*rule)->needs_signature(),
                         .refusal = {}});
  }

  void judge_instruction(const PlainInstruction& instruction) {
    if (instruction.is_trigger) {
      judge_word(Refused::onbuild, instruction,
                 "the policy allows no ONBUILD; write the instruction where it is used");
    }
    if (instruction.keyword != "run") {
      return;
    }
    for (const std::string& flag : instruction.flags) {
      const std::string lower = lower_case(flag);
      const bool unclear = flag.contains('$');
      if (lower.starts_with("--network=") && (unclear || lower == "--network=host")) {
        judge_word(Refused::network_host, instruction,
                   "the policy allows no RUN --network=host; remove the option");
      }
      if (lower.starts_with("--security=") && (unclear || lower == "--security=insecure")) {
        judge_word(Refused::security_insecure, instruction,
                   "the policy allows no RUN --security=insecure; remove the option");
      }
    }
  }

  void judge_word(Refused what, const PlainInstruction& instruction, const char* refusal) {
    if (policy_.refused.contains(what)) {
      refuse(instruction.line, upper_case(instruction.keyword), refusal,
             std::string(policy::name_of(what)));
    }
  }

  /// By the reader that knows what every version takes for an address. It is told no variables: a
  /// base image may give them other values than the Dockerfile.
  void judge_added(const std::vector<PlainInstruction>& instructions) {
    if (!policy_.refused.contains(Refused::add_url)) {
      return;
    }
    std::string text;
    for (const PlainInstruction& instruction : instructions) {
      text += (instruction.keyword == "add" ? instruction.text() : "run") + "\n";
    }
    for (const RemoteSource& source : remote_sources(text)) {
      if (!source.is_image && source.line - 1 < instructions.size()) {
        judge_word(Refused::add_url, instructions[source.line - 1],
                   "the policy allows no ADD of an address, nor of a variable that may be one; use "
                   "COPY, or a RUN that checks what it fetches");
      }
    }
  }

  const Policy& policy_;
  const FrontendRules& frontends_;
  const GivenArguments& given_;
  std::vector<PolicyFinding> findings_;
};

// --- The engine. ---

/// Divides names of images among the rules: a tree of all characters that patterns begin with.
/// Where a name leaves it, the rule is known.
class NameTree {
 public:
  explicit NameTree(const std::vector<ImageRule>& rules) : rules_(rules) {
    for (std::size_t i = 0; i < rules.size(); ++i) {
      for (const ImagePattern& pattern : rules[i].images) {
        add(pattern, i);
      }
    }
  }

  /// A name that may be used whatever the rule says.
  void allow(std::string_view name) { nodes_[enter(lower_case(name))].allowed = true; }

  /// Expressions (RE2) of the names that the rules refuse.
  [[nodiscard]] std::string refused() const {
    std::string out;
    std::string beginning;
    write(0, k_none, beginning, out);
    return out;
  }

 private:
  static constexpr std::size_t k_none = std::numeric_limits<std::size_t>::max();

  struct Node {
    std::size_t rule = k_none;  ///< The first of those whose pattern ends here.
    bool allowed = false;
    std::map<char, std::size_t> next;
  };

  void add(const ImagePattern& pattern, std::size_t rule) {
    if (pattern.host.empty()) {
      mark("", rule);
      return;
    }
    // An engine keeps the API's name of Docker Hub where somebody writes it.
    std::vector<std::string> hosts{pattern.host};
    if (pattern.host == oci::k_docker_hub) {
      hosts.emplace_back("docker.io");
    }
    for (const std::string& host : hosts) {
      const std::string name = host + "/" + pattern.path;
      if (pattern.is_folder()) {
        mark(name, rule);
      } else {
        mark(name + ":", rule);
        mark(name + "@", rule);
      }
    }
  }

  void mark(std::string_view name, std::size_t rule) {
    Node& node = nodes_[enter(name)];
    node.rule = std::min(node.rule, rule);
  }

  std::size_t enter(std::string_view name) {
    std::size_t at = 0;
    for (const char c : name) {
      const auto [found, is_new] = nodes_[at].next.emplace(c, nodes_.size());
      at = found->second;
      if (is_new) {
        nodes_.emplace_back();
      }
    }
    return at;
  }

  static std::string escaped(char c) {
    const bool is_word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    return is_word ? std::string(1, c) : "\\" + std::string(1, c);
  }

  // NOLINTNEXTLINE(misc-no-recursion): as deep as a name is long.
  void write(std::size_t at, std::size_t rule, std::string& beginning, std::string& out) const {
    const Node& node = nodes_[at];
    rule = std::min(rule, node.rule);
    std::string others;
    for (const auto& [c, next] : node.next) {
      others += escaped(c);
    }
    const auto add = [&](const std::string& expression) {
      out += (out.empty() ? "" : "|") + expression;
    };
    const bool is_refused = rule == k_none || rules_[rule].needs_signature();
    if (is_refused) {
      const std::string other = others.empty() ? "[\\s\\S]" : "[^" + others + "]";
      add(beginning + (node.allowed ? other : "(" + other + "|$)"));
    } else if (rules_[rule].digest && !beginning.contains('@')) {
      add(beginning + "([^@" + others + "][^@]*)?$");
    }
    const std::size_t size = beginning.size();
    for (const auto& [c, next] : node.next) {
      beginning += escaped(c);
      write(next, rule, beginning, out);
      beginning.resize(size);
    }
  }

  const std::vector<ImageRule>& rules_;
  std::vector<Node> nodes_{Node{}};
};

void deny(moby::buildkit::v1::Policy& message, const std::string& expression) {
  PolicyRule* rule = message.add_rules();
  rule->set_action(PolicyRule::DENY);
  rule->mutable_selector()->set_match_type(moby::buildkit::v1::PolicySelector::REGEX);
  rule->mutable_selector()->set_identifier("(?i)^" + expression);
}

/// Empty: it is not pinned.
std::string pinned_digest(const ports::ImagePins& pins, const oci::Reference& image) {
  for (const auto& [name, digest] : pins) {
    const auto reference = oci::parse_reference(name);
    if (reference && reference->host == image.host && reference->repository == image.repository &&
        reference->tag == image.tag) {
      return digest;
    }
  }
  return {};
}

}  // namespace

std::vector<PolicyFinding> judge_dockerfile(const Policy& policy, const FrontendRules& frontends,
                                            std::string_view dockerfile,
                                            const GivenArguments& given) {
  return Judge(policy, frontends, given).judge(dockerfile);
}

Result<std::vector<PolicyFinding>> check_dockerfile(const Policy& policy,
                                                    const FrontendRules& frontends,
                                                    std::string_view file,
                                                    std::string_view dockerfile,
                                                    const GivenArguments& given) {
  auto findings = judge_dockerfile(policy, frontends, dockerfile, given);
  for (const PolicyFinding& finding : findings) {
    if (!finding.refusal.empty()) {
      return refused_at(file, finding.line, finding.refusal);
    }
  }
  return findings;
}

Result<AdmittedImages> admit_images(policy::Gate& gate, const ports::JobContext& job,
                                    std::string_view file, const std::vector<PolicyFinding>& found,
                                    const ports::ImagePins& pins, bool holds_pins) {
  AdmittedImages admitted;
  for (const auto& [name, digest] : pins) {
    // What has to be written with a digest is not taken for written so.
    const auto reference = oci::parse_reference(name);
    if (reference && gate.policy().rule_for(*reference)) {
      admitted.pins.emplace(name, digest);
    }
  }
  std::set<std::string> looked_at;
  for (const PolicyFinding& finding : found) {
    if (!finding.needs_signature || !looked_at.insert(finding.image->str()).second) {
      continue;
    }
    if (looked_at.size() > k_most_signed) {
      return refused_at(file, finding.line,
                        fmt::format("the policy looks at the signatures of {} images at most; use "
                                    "fewer of them",
                                    k_most_signed));
    }
    const oci::Reference& named = *finding.image;
    if (named.digest.empty() && !holds_pins) {
      return refused_at(file, finding.line,
                        fmt::format("the policy \"{}\" needs the digest of {} on this build engine",
                                    finding.rule, policy::shown(named)));
    }
    const std::string pinned = pinned_digest(admitted.pins, named);
    auto image = gate.admit(job, named, pinned);
    if (!image) {
      Error error = std::move(image).error();
      if (!error.customer.empty()) {
        error.customer = placed(file, finding.line, error.customer);
      }
      return std::unexpected(std::move(error));
    }
    if (named.digest.empty() && pinned.empty()) {
      admitted.pins[oci::for_engine(named)] = image->digest;
    }
    admitted.signed_images.push_back(oci::for_engine(*image));
    admitted.signed_images.push_back(oci::for_engine(image->with_digest(image->digest)));
  }
  return admitted;
}

void add_image_policy(moby::buildkit::v1::Policy& message, const Policy& policy,
                      const AdmittedImages& admitted) {
  if (policy.images.empty()) {
    return;
  }
  NameTree names(policy.images);
  for (const std::string& name : admitted.signed_images) {
    names.allow(name);
  }
  if (const std::string refused = names.refused(); !refused.empty()) {
    deny(message, "docker-image://(" + refused + ")");
  }
  deny(message, "docker-image\\+blob://");
}

Result<> check_taken(const Policy& policy, std::string_view file,
                     const std::set<domain::BaseImage>& taken, const AdmittedImages& admitted) {
  if (policy.images.empty()) {
    return {};
  }
  for (const domain::BaseImage& one : taken) {
    auto image = oci::parse_reference(one.name + (one.digest.empty() ? "" : "@" + one.digest));
    if (!image) {
      return refused_at(file, 0, "the policy allows none of the images that this build took");
    }
    const auto rule = policy.rule_for(*image);
    if (!rule) {
      return refused_at(file, 0, rule.error());
    }
    const std::string name = oci::for_engine(*image);
    if (*rule != nullptr && (*rule)->needs_signature() &&
        std::ranges::find(admitted.signed_images, name) == admitted.signed_images.end()) {
      return refused_at(file, 0,
                        fmt::format("the policy \"{}\" wants {} signed, and the build has taken it "
                                    "where the Dockerfile does not name it",
                                    (*rule)->name, policy::shown(*image)));
    }
  }
  return {};
}

}  // namespace builder::adapters::buildkit
