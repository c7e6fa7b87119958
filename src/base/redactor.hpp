#pragma once

#include "base/secret.hpp"

#include <array>
#include <bitset>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace builder {

/// A secret with a name that may be shown, e.g. "git password".
struct NamedSecret {
  std::string name;
  Secret value;
};

/// Takes known secrets out of text: raw, and in the forms tools print them in (percent-encoded,
/// JSON-escaped, base64 at any byte phase, hex, each longer line of a multi-line value); besides
/// them whatever looks like a credential by its shape (GitHub and AWS keys, passwords in URLs,
/// Authorization values). Immutable; used by every thread.
///
/// Values of less than six bytes and common words are not searched for: they would match
/// everywhere.
class Redactor {
 public:
  static constexpr std::string_view k_replacement = "[REDACTED]";

  explicit Redactor(const std::vector<NamedSecret>& secrets);

  /// `text` with every secret replaced. Secrets cut off at an end of `text` are not recognised: use
  /// RedactingStream for text that comes in pieces.
  [[nodiscard]] std::string redact(std::string_view text) const;

  /// Names of the secrets that are too short or too common to search for.
  [[nodiscard]] const std::vector<std::string>& skipped() const { return skipped_; }

 private:
  friend class RedactingStream;

  struct Region {
    std::size_t begin;
    std::size_t end;
  };

  void add_needle(std::string needle);
  void index();
  [[nodiscard]] std::size_t longest_match(std::string_view text, std::size_t at) const;
  /// Needles and patterns in `text`: sorted, overlapping ones merged.
  [[nodiscard]] std::vector<Region> find(std::string_view text) const;
  /// Where the part begins that could become a match when more text follows.
  [[nodiscard]] std::size_t open_tail(std::string_view text) const;

  std::vector<std::string> needles_;  ///< Sorted, so that those with one prefix lie together.
  std::vector<std::string> skipped_;
  std::size_t longest_ = 0;
  std::bitset<65'536> starts_;  ///< First two bytes of any needle.
};

/// Redacts a text that arrives in pieces. However it is cut, the outputs joined are what `redact`
/// gives for the whole.
class RedactingStream {
 public:
  explicit RedactingStream(std::shared_ptr<const Redactor> redactor)
      : redactor_(std::move(redactor)) {}

  /// What is safe to show by now; keeps back only what may still become a secret.
  [[nodiscard]] std::string feed(std::string_view chunk);
  /// The rest. The stream is as new afterwards.
  [[nodiscard]] std::string finish();

 private:
  // Shared with the store that made it; secrets may change while a line is under way.
  std::shared_ptr<const Redactor> redactor_;
  std::string buffer_;
};

}  // namespace builder
