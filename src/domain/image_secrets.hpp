#pragma once

#include "base/needles.hpp"
#include "base/redactor.hpp"
#include "base/result.hpp"
#include "domain/deployment_request.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace builder::domain {

/// Which variables hold secrets, to the search of an image: those whose name says so, but for what
/// bundlers give to browsers, and what the operator says. Patterns with `*` for any characters; one
/// with `!` before it takes out. The last that fits decides.
class SecretNames {
 public:
  SecretNames() = default;
  /// `invalid_input`: a pattern is empty, or holds what no name of a variable does.
  static Result<SecretNames> parse(const std::vector<std::string>& patterns);

  [[nodiscard]] bool operator()(std::string_view name) const;

 private:
  struct Pattern {
    std::string text;
    bool is_secret = true;
  };

  std::vector<Pattern> patterns_;
};

/// What the image of a request must not hold, with its names for a person.
std::vector<NamedSecret> image_secrets(const DeploymentRequest& request, const SecretNames& names);

/// Exact values to look for in the bytes of an image, in the forms that files have them in: as they
/// are, as UTF-16, base64 (both alphabets, any phase, broken over rows), hex, percent-encoded, and
/// with the escapes of JSON, HTML and the shell. Values that words and numbers guess are left out:
/// any image holds them by chance. Immutable; used by every thread.
///
/// One pass for all of them: a core searches one to two gigabytes a second
/// (bench/image_search.cpp).
class SoughtSecrets {
 public:
  /// Of all forms together; the rarest forms, and then the values behind, are left out. Each byte
  /// takes some 40 of memory.
  static constexpr std::size_t k_most_bytes = std::size_t{512} * 1024;

  explicit SoughtSecrets(const std::vector<NamedSecret>& secrets);

  [[nodiscard]] bool empty() const { return names_.empty(); }

  /// By their numbers; several secrets may have one.
  [[nodiscard]] const std::string& name(std::size_t secret) const { return names_[secret]; }

  /// Names of the secrets that are too easy to guess, or too many, to be looked for.
  [[nodiscard]] const std::vector<std::string>& left_out() const { return left_out_; }

 private:
  friend class SecretScanner;

  struct Sought {
    std::vector<std::string> names;
    std::vector<std::string> left_out;
    std::map<std::string, std::size_t> needles;  ///< To the number of the name.
  };

  explicit SoughtSecrets(Sought sought);
  static Sought prepare(const std::vector<NamedSecret>& secrets);

  std::vector<std::string> names_;
  std::vector<std::string> left_out_;
  Needles needles_;
  std::unordered_map<Needles::State, std::size_t> secret_of_;
};

/// Searches one stream of bytes that comes in pieces, wherever they are cut.
class SecretScanner {
 public:
  explicit SecretScanner(const SoughtSecrets& sought) : sought_(sought) {}

  /// Calls `found(end, secret)` for each occurrence: where it ends in `piece`, and its number.
  template <class Found>
  void feed(std::string_view piece, Found&& found) {
    const Needles& needles = sought_.needles_;
    for (std::size_t at = 0; at < piece.size();) {
      if (needles.is_shallow(state_)) {
        const auto skipped = needles.skip(state_, piece.substr(at));
        state_ = skipped.state;
        at += skipped.bytes;
        if (at >= piece.size()) {
          return;
        }
      }
      state_ = needles.step(state_, piece[at++]);
      if (needles.ends(state_)) {
        found(at, sought_.secret_of_.at(needles.ending(state_)));
      }
    }
  }

 private:
  const SoughtSecrets& sought_;
  Needles::State state_ = Needles::k_start;
};

/// Numbers of the secrets in a text, each once, ascending.
std::vector<std::size_t> secrets_in(const SoughtSecrets& sought, std::string_view text);

}  // namespace builder::domain
