#include "adapters/policy/policy_file.hpp"

#include "base/ascii.hpp"
#include "base/spelling.hpp"
#include "base/text.hpp"
#include "domain/buildpacks/toml.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

namespace builder::adapters::policy {

namespace {

constexpr std::size_t k_longest_file = std::size_t{64} << 10U;
constexpr std::size_t k_most_rules = 100;
constexpr std::size_t k_most_keys = 10;
constexpr std::size_t k_longest_name = 40;
constexpr std::size_t k_longest_pattern = 128;
/// Of all names of images together. Engines get an expression that grows with their lengths.
constexpr std::size_t k_most_characters = std::size_t{8} << 10U;
constexpr std::size_t k_shown = 60;

constexpr std::array k_refusable{Refused::add_url, Refused::network_host, Refused::onbuild,
                                 Refused::security_insecure};

/// `registry.example.com/base/*`, `docker.io/library/node`, `*`; nullopt for anything else.
std::optional<ImagePattern> parse_pattern(const std::string& text) {
  ImagePattern pattern{.written = text, .host = {}, .path = {}};
  if (text == "*") {
    return pattern;
  }
  constexpr std::string_view k_below = "/*";
  const bool is_folder = text.ends_with(k_below);
  const std::string named = text.substr(0, text.size() - (is_folder ? k_below.size() : 0));
  // A name below it is a reference whether it is a registry or a folder in one.
  const auto reference = oci::parse_reference(named + (is_folder ? "/a/b" : ""));
  const bool has_version =
      reference && !is_folder &&
      (text.ends_with(":latest") || reference->tag != "latest" || !reference->digest.empty());
  if (!reference || has_version || text.size() > k_longest_pattern) {
    return std::nullopt;
  }
  pattern.host = lower_case(reference->host);
  pattern.path = is_folder ? reference->repository.substr(0, reference->repository.size() - 3)
                           : reference->repository;
  return pattern;
}

class PolicyReader {
 public:
  explicit PolicyReader(const KeyReader& read_key) : read_key_(read_key) {}

  Result<Policy> read(const toml::table& root) {
    for (const auto& [key, node] : domain::buildpacks::in_order(root)) {
      if (key->str() == "refuse") {
        BUILDER_TRY(read_refused(*key, *node));
      } else if (key->str() == "images") {
        BUILDER_TRY(read_rules(*key, *node));
      } else {
        return unknown(*key, {"refuse", "images"});
      }
    }
    if (policy_.images.empty() && policy_.refused.empty()) {
      return failure(ErrorKind::invalid_input, "has no rule: neither refuse = […] nor [[images]]");
    }
    policy_.fingerprint = sha256_hex(keys_);
    return std::move(policy_);
  }

 private:
  template <class Part>
  static std::unexpected<Error> bad(const Part& part, std::string_view what) {
    return failure(ErrorKind::invalid_input,
                   fmt::format("line {}: {}", part.source().begin.line, what));
  }

  static std::unexpected<Error> unknown(const toml::key& key, std::vector<std::string> known) {
    return bad(key, fmt::format("\"{}\" is not known here; there are {}",
                                printable_line(key.str(), k_shown), fmt::join(known, ", ")));
  }

  /// A list of texts, or one text.
  static Result<std::vector<std::pair<const toml::node*, std::string>>> texts_of(
      const toml::key& key, const toml::node& node) {
    std::vector<std::pair<const toml::node*, std::string>> texts;
    const toml::array* const array = node.as_array();
    if (array == nullptr) {
      return bad(key, fmt::format("{} must be a list of texts: [\"…\"]", key.str()));
    }
    for (const toml::node& one : *array) {
      const auto* const text = one.as_string();
      if (text == nullptr) {
        return bad(one, fmt::format("{} must hold texts in quotes", key.str()));
      }
      texts.emplace_back(&one, text->get());
    }
    return texts;
  }

  static Result<bool> flag_of(const toml::key& key, const toml::node& node) {
    const auto* const flag = node.as_boolean();
    if (flag == nullptr) {
      return bad(key, fmt::format("{} must be true or false, without quotes", key.str()));
    }
    return flag->get();
  }

  Result<> read_refused(const toml::key& key, const toml::node& node) {
    BUILDER_TRY_ASSIGN(const auto texts, texts_of(key, node));
    for (const auto& [place, text] : texts) {
      const auto* const found = std::ranges::find(k_refusable, text, name_of);
      if (found == k_refusable.end()) {
        std::string names;
        for (const Refused one : k_refusable) {
          names += (names.empty() ? "" : ", ") + std::string(name_of(one));
        }
        return bad(*place,
                   fmt::format("\"{}\" is none of {}", printable_line(text, k_shown), names));
      }
      policy_.refused.insert(*found);
    }
    return {};
  }

  Result<> read_rules(const toml::key& key, const toml::node& node) {
    const toml::array* const array = node.as_array();
    if (array == nullptr || array->empty()) {
      return bad(key, "images must be tables: [[images]]");
    }
    if (array->size() > k_most_rules) {
      return bad(key, fmt::format("there are more than {} rules", k_most_rules));
    }
    for (const toml::node& one : *array) {
      if (!one.is_table()) {
        return bad(one, "images must be tables: [[images]]");
      }
      BUILDER_TRY(read_rule(*one.as_table()));
    }
    return {};
  }

  Result<> read_rule(const toml::table& table) {
    ImageRule rule;
    for (const auto& [key, node] : domain::buildpacks::in_order(table)) {
      if (key->str() == "name") {
        const auto* const name = node->as_string();
        if (name == nullptr || name->get().empty() || name->get().size() > k_longest_name ||
            printable_line(name->get()) != name->get()) {
          return bad(*key,
                     fmt::format("name must be a text of 1 to {} characters", k_longest_name));
        }
        rule.name = name->get();
      } else if (key->str() == "from") {
        BUILDER_TRY(read_patterns(rule, *key, *node));
      } else if (key->str() == "digest") {
        BUILDER_TRY_ASSIGN(rule.digest, flag_of(*key, *node));
      } else if (key->str() == "provenance") {
        BUILDER_TRY_ASSIGN(rule.provenance, flag_of(*key, *node));
      } else if (key->str() == "signed_by") {
        BUILDER_TRY(read_keys(rule, *key, *node));
      } else {
        return unknown(*key, {"name", "from", "digest", "signed_by", "provenance"});
      }
    }
    if (rule.images.empty()) {
      return bad(table, "a rule needs from = [\"registry/folder/*\"]");
    }
    if (rule.provenance && !rule.needs_signature()) {
      return bad(table, "provenance needs signed_by: anybody can write what nobody signs");
    }
    // A worker asks no registry that only a customer has named.
    if (rule.needs_signature() && std::ranges::any_of(rule.images, [](const ImagePattern& pattern) {
          return pattern.host.empty();
        })) {
      return bad(table, "signed_by needs names of registries in from, not \"*\"");
    }
    if (rule.name.empty()) {
      rule.name = truncate_characters(rule.images.front().written, k_longest_name);
    }
    policy_.images.push_back(std::move(rule));
    return {};
  }

  Result<> read_patterns(ImageRule& rule, const toml::key& key, const toml::node& node) {
    BUILDER_TRY_ASSIGN(const auto texts, texts_of(key, node));
    for (const auto& [place, text] : texts) {
      auto pattern = parse_pattern(text);
      if (!pattern) {
        return bad(*place, fmt::format("\"{}\" is neither a repository, nor a registry or folder "
                                       "with /* behind it, nor *",
                                       printable_line(text, k_shown)));
      }
      characters_ += text.size();
      if (characters_ > k_most_characters) {
        return bad(*place, fmt::format("the names of images have more than {} characters in all",
                                       k_most_characters));
      }
      rule.images.push_back(*std::move(pattern));
    }
    return {};
  }

  Result<> read_keys(ImageRule& rule, const toml::key& key, const toml::node& node) {
    BUILDER_TRY_ASSIGN(const auto texts, texts_of(key, node));
    if (texts.empty() || texts.size() > k_most_keys) {
      return bad(key, fmt::format("signed_by must name 1 to {} files", k_most_keys));
    }
    for (const auto& [place, name] : texts) {
      const auto text = read_key_(name);
      auto parsed = text ? attestation::PublicKey::parse(*text) : std::unexpected(text.error());
      if (!parsed) {
        return bad(*place, fmt::format("{} {}", printable_line(name, k_shown),
                                       printable_line(parsed.error().message)));
      }
      keys_ += sha256_hex(*text);
      rule.signed_by.push_back(*std::move(parsed));
    }
    return {};
  }

  const KeyReader& read_key_;
  Policy policy_;
  std::string keys_;
  std::size_t characters_ = 0;
};

/// `invalid_input`: what is in the way.
Result<std::string> read_file(const std::filesystem::path& path) {
  std::error_code unknown;
  std::ifstream file(path, std::ios::binary);
  if (!file || std::filesystem::is_directory(path, unknown)) {
    return failure(ErrorKind::invalid_input, "cannot be read");
  }
  std::string text(k_longest_file + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (text.size() > k_longest_file) {
    return failure(ErrorKind::invalid_input,
                   fmt::format("is larger than {} KiB", k_longest_file >> 10U));
  }
  return text;
}

}  // namespace

Result<Policy> parse_policy(std::string_view text, const KeyReader& read_key) {
  if (text.size() > k_longest_file) {
    return failure(ErrorKind::invalid_input,
                   fmt::format("is larger than {} KiB", k_longest_file >> 10U));
  }
  BUILDER_TRY_ASSIGN(const toml::table root, domain::buildpacks::parse_toml(text));
  BUILDER_TRY_ASSIGN(Policy policy, PolicyReader(read_key).read(root));
  policy.fingerprint = sha256_hex(policy.fingerprint + std::string(text));
  return policy;
}

Result<Policy> read_policy(const std::string& path) {
  BUILDER_TRY_ASSIGN(const std::string text, read_file(path));
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return parse_policy(text, [&](const std::string& name) { return read_file(folder / name); });
}

}  // namespace builder::adapters::policy
