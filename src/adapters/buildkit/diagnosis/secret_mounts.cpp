#include "adapters/buildkit/diagnosis/secret_mounts.hpp"

#include "adapters/buildkit/diagnosis/dockerfile.hpp"
#include "base/ascii.hpp"
#include "base/keyed_hash.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

constexpr std::string_view k_blanks = " \t\r";
constexpr std::size_t k_hash_bytes = 8;
/// With its first letter and its slash.
constexpr std::size_t k_version_size = 2 * k_hash_bytes + 2;

std::string version_of(const Secret& key, const std::string& name, const Secret& value) {
  const std::string hash = hmac_sha256_hex(key.reveal(), name + '\0' + value.reveal());
  return "v" + hash.substr(0, 2 * k_hash_bytes) + "/";
}

/// Where the flags of a RUN end: the end of the last of its tokens that begin with two dashes.
/// `each` is told the place of each. `at` is behind the keyword; flags end with their line.
template <class Each>
void for_flags(std::string_view line, std::size_t at, const Each& each) {
  for (;;) {
    at = std::min(line.find_first_not_of(k_blanks, at), line.size());
    const std::size_t end = std::min(line.find_first_of(k_blanks, at), line.size());
    const std::string_view flag = line.substr(at, end - at);
    if (!flag.starts_with("--") || flag == "--") {
      return;
    }
    each(at, end);
    at = end;
  }
}

std::string_view base_name(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

}  // namespace

SecretMounts::SecretMounts(const domain::DeliveredVariables& variables)
    : secrets_(variables.secrets) {
  for (const auto& [name, value] : secrets_) {
    known_.insert(versions_.emplace(name, version_of(variables.key, name, value)).first->second);
  }
}

std::string SecretMounts::versioned_flag(std::string_view flag) const {
  constexpr std::string_view k_mount = "--mount=";
  // What is quoted, escaped or made of variables is the frontend's to read.
  if (!flag.starts_with(k_mount) || flag.find_first_of("\"'\\$`") != std::string_view::npos) {
    return std::string(flag);
  }
  bool is_secret = false;
  std::string_view id;
  std::string_view target;
  std::string_view rest = flag.substr(k_mount.size());
  while (!rest.empty()) {
    const std::string_view field = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(field.size() + 1, rest.size()));
    const std::size_t equals = std::min(field.find('='), field.size());
    const std::string key = lower_case(field.substr(0, equals));
    const std::string_view value = field.substr(std::min(equals + 1, field.size()));
    is_secret = key == "type" ? value == "secret" : is_secret;  // The last one counts.
    if (key == "id" || key == "source" || key == "src") {
      if (!id.empty()) {
        return std::string(flag);  // Which one counts depends on the frontend.
      }
      id = value;
    } else if (key == "target" || key == "dst" || key == "destination") {
      target = value;
    }
  }
  const auto version = versions_.find(id.empty() ? base_name(target) : id);
  if (!is_secret || version == versions_.end()) {
    return std::string(flag);
  }
  if (id.empty()) {
    return fmt::format("{},id={}{}", flag, version->second, version->first);
  }
  const auto at = static_cast<std::size_t>(id.data() - flag.data());
  return fmt::format("{}{}{}", flag.substr(0, at), version->second, flag.substr(at));
}

std::string SecretMounts::with_versions(std::string_view dockerfile) const {
  if (versions_.empty() || !dockerfile.contains("secret") || dockerfile.contains("<<")) {
    return std::string(dockerfile);
  }
  const Dockerfile parsed(dockerfile);
  std::string out;
  std::size_t line_number = 1;
  auto instruction = parsed.instructions().begin();
  const auto end = parsed.instructions().end();
  bool in_flags = false;  // Of a RUN that goes on behind its keyword or a flag.
  while (!dockerfile.empty()) {
    const std::size_t size = std::min(dockerfile.find('\n'), dockerfile.size());
    const std::string_view line = dockerfile.substr(0, size);
    while (instruction != end && instruction->lines.last < line_number) {
      ++instruction;
      in_flags = false;
    }
    std::size_t at = 0;
    if (instruction != end && instruction->lines.first == line_number &&
        instruction->keyword == "RUN") {
      in_flags = true;
      const std::size_t begin = std::min(line.find_first_not_of(k_blanks), line.size());
      at = std::min(line.find_first_of(k_blanks, begin), line.size());
    }
    const std::size_t first = std::min(line.find_first_not_of(k_blanks, at), line.size());
    const bool is_comment = at == 0 && line.substr(first).starts_with('#');
    std::size_t written = 0;
    if (in_flags && !is_comment) {
      std::size_t behind = at;
      for_flags(line, at, [&](std::size_t from, std::size_t to) {
        out += line.substr(written, from - written);
        out += versioned_flag(line.substr(from, to - from));
        written = behind = to;
      });
      // Only the mark of a continuation may follow for flags to go on in the next line.
      const std::string_view tail = trimmed(line.substr(behind), k_blanks);
      in_flags = tail.empty() || tail == "\\" || tail == "`";
    }
    out += line.substr(written);
    out += size < dockerfile.size() ? "\n" : "";
    dockerfile.remove_prefix(std::min(size + 1, dockerfile.size()));
    ++line_number;
  }
  return out;
}

bool SecretMounts::leaves_some(std::string_view sent) const {
  constexpr std::string_view k_mount = "--mount";
  if (versions_.empty()) {
    return false;
  }
  for (std::size_t at = sent.find(k_mount); at != std::string_view::npos;
       at = sent.find(k_mount, at + 1)) {
    const std::size_t end = std::min(sent.find_first_of(" \t\r\n", at), sent.size());
    const std::string flag = lower_case(sent.substr(at, end - at));
    const bool is_unclear = flag.find_first_of("\"'\\$`") != std::string::npos;
    if ((is_unclear || flag.contains("secret")) && without_versions(flag) == flag) {
      return true;
    }
  }
  return false;
}

std::string SecretMounts::fingerprint() const {
  std::string all;
  for (const auto& [name, version] : versions_) {
    all += version;
  }
  return all;
}

std::string SecretMounts::without_versions(std::string text) const {
  for (std::size_t at = text.find('/'); at != std::string::npos; at = text.find('/', at + 1)) {
    const std::size_t begin = at + 1 - std::min(at + 1, k_version_size);
    if (known_.contains(text.substr(begin, at + 1 - begin))) {
      text.erase(begin, k_version_size);
      at = begin == 0 ? 0 : begin - 1;
    }
  }
  return text;
}

std::map<std::string, Secret> SecretMounts::for_session() const {
  std::map<std::string, Secret> all = secrets_;
  for (const auto& [name, value] : secrets_) {
    all.emplace(versions_.at(name) + name, value);
  }
  return all;
}

}  // namespace builder::adapters::buildkit
