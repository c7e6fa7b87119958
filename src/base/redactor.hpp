#pragma once

#include "base/needles.hpp"
#include "base/secret.hpp"

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

/// Takes known secrets out of text, however tools write them: raw, percent-encoded, escaped for
/// JSON, HTML and the shell, with colours or line ends inside, base64 (both alphabets, at any byte
/// phase, wrapped), hex (with blanks, colons, commas or dashes between); each line of a multi-line
/// value too. Besides them whatever looks like a credential by its shape: GitHub and AWS keys,
/// passwords in URLs, Authorization values. Immutable; used by every thread.
///
/// Text is searched twice at once: as it stands, and as what it means without its escapes
/// (base/text_forms.hpp). The cost of a byte does not depend on the number of secrets.
class Redactor {
 public:
  static constexpr std::string_view k_replacement = "[REDACTED]";
  static constexpr std::size_t k_shortest_secret = 6;
  /// Sum of all values; those behind are not searched for.
  static constexpr std::size_t k_most_bytes = std::size_t{64} * 1024;

  struct Region {
    std::uint64_t begin;
    std::uint64_t end;
  };

  explicit Redactor(const std::vector<NamedSecret>& secrets);

  /// `text` with every secret replaced. Secrets cut off at an end of `text` are not recognised: use
  /// RedactingStream for text that comes in pieces.
  [[nodiscard]] std::string redact(std::string_view text) const;

  /// Of a text that is redacted already and in which `…` stands for what was left out: takes out
  /// what is shown of a secret right before it, unless that is shorter than `k_shortest_secret`.
  [[nodiscard]] std::string redact_shortened(std::string_view text) const;

  /// What `redact` replaces: sorted, apart from each other.
  [[nodiscard]] std::vector<Region> find(std::string_view text) const;

  /// Names of the secrets that are too short or too common to search for.
  [[nodiscard]] const std::vector<std::string>& skipped() const { return skipped_; }

  /// Names of those for which there is no room.
  [[nodiscard]] const std::vector<std::string>& beyond() const { return beyond_; }

 private:
  friend class RedactingStream;

  struct Written {
    std::vector<Needles::Needle> text;
    std::vector<Needles::Needle> hex;
  };

  explicit Redactor(Written written);
  Written write(const std::vector<NamedSecret>& secrets);

  std::vector<std::string> skipped_;
  std::vector<std::string> beyond_;
  Needles text_;
  Needles hex_;
};

/// Adds what is to be replaced to what is already: overlapping regions become one.
void add_region(std::vector<Redactor::Region>& regions, Redactor::Region region);

std::string replace_regions(std::string_view text, const std::vector<Redactor::Region>& regions);

/// Redacts a text that arrives in pieces. However it is cut, the outputs joined are what `redact`
/// gives for the whole: both read it byte by byte.
///
/// Whole rows come out as soon as their line end is in. A row that ends with the beginning of an
/// encoded secret loses it, and the search goes on in the next row: base64 and hex come wrapped.
class RedactingStream {
 public:
  explicit RedactingStream(std::shared_ptr<const Redactor> redactor)
      : redactor_(std::move(redactor)) {}

  /// What is safe to show by now; keeps back only what may still become a secret.
  [[nodiscard]] std::string feed(std::string_view chunk);
  /// The rest. The stream is as new afterwards.
  [[nodiscard]] std::string finish();

 private:
  friend class Redactor;

  using Position = std::uint64_t;  ///< Bytes of the text before.

  /// So many bytes in a row that hex may consist of are read as such.
  static constexpr std::uint32_t k_likely_hex = 2 * Redactor::k_shortest_secret;

  /// Where in the text stands what is read out of it: its meaning, the digits of hex.
  class Places {
   public:
    /// From `read` on, the text is at `text`, and both go in step.
    void set(Position read, Position text) {
      if (text - read != breaks_.back().text - breaks_.back().read) {
        add({read, text});
      }
    }

    [[nodiscard]] Position in_text(Position read) const;

    [[nodiscard]] bool are_many() const { return breaks_.size() > many_; }

    void forget_before(Position read);

   private:
    struct Break {
      Position read;
      Position text;
    };

    static constexpr std::size_t k_few = 64;

    void add(Break next);

    std::vector<Break> breaks_{{0, 0}};
    std::size_t many_ = k_few;
  };

  /// `gho_…`, `AKIA…`
  struct Token {
    bool active = false;
    Position begin = 0;
    Position enough = 0;  ///< A key when it reaches so far.
  };

  /// What stands behind "://" until the end of the word.
  struct Url {
    bool active = false;
    bool http = false;   ///< There a user alone is a credential.
    bool colon = false;  ///< In front of the first slash.
    bool slash = false;
    bool port = true;       ///< What stands between them may be one.
    bool brackets = false;  ///< An address of IPv6.
    Position begin = 0;
    Position at_sign = 0;
  };

  /// `Authorization: Basic VALUE`
  struct Authorization {
    enum class Part { none, colon, blanks, word, blanks_of_value, value };
    Part part = Part::none;
    Position begin = 0;
    int blanks = 0;
  };

  void scan(bool complete);
  bool skip(std::string_view text);
  bool skip_digits(std::string_view text);
  [[nodiscard]] std::size_t plain_bytes(std::string_view text) const;
  void walk(std::string_view text);
  void take_plain(char byte);
  void take(std::size_t length, std::string_view meaning);
  void take_raw(char byte);
  void take_hex(char byte);
  void step_hex(char byte, Position position);
  void take_token(char byte);
  void take_url(char byte);
  void take_authorization(char byte);
  void arrived(Needles::State state, Position end);
  void begin_shapes(std::uint8_t kinds, Position end);
  void end_url();
  void end_row();
  void add(Position begin, Position end);
  void emit(Position safe);

  [[nodiscard]] char byte_at(Position at) const { return buffer_[at - first_]; }

  /// Whether the bytes of a known shape behind `://` or "Authorization" matter one by one.
  [[nodiscard]] bool is_reading_shape() const {
    return token_.active || authorization_.part != Authorization::Part::none;
  }

  /// Whether the next byte may change nothing but `text_`, and what hex is read by.
  [[nodiscard]] bool can_skip() const {
    return redactor_->text_.is_shallow(text_) && !apart_ && !is_reading_shape() && !url_.active &&
           (run_ < k_likely_hex || redactor_->hex_.is_shallow(hex_));
  }

  [[nodiscard]] Position first_open() const;
  [[nodiscard]] Position first_open_digit() const;

  std::shared_ptr<const Redactor> redactor_;
  std::string buffer_;
  Position first_ = 0;  ///< Of `buffer_`.
  char before_ = ' ';   ///< The byte in front of it.
  Position base_ = 0;   ///< What is before is out.
  std::string out_;
  Position at_ = 0;
  Position meaning_ = 0;  ///< Bytes of meaning before `at_`.
  Position plain_ = 0;    ///< The bytes before it mean themselves, and make no hex likely.
  Needles::State text_ = Needles::k_start;
  bool apart_ = false;  ///< The text as it stands is in another state.
  Needles::State raw_ = Needles::k_start;
  Places places_;
  std::uint32_t run_ = 0;  ///< Bytes before that hex may consist of, up to what makes it likely.
  Needles::State hex_ = Needles::k_start;
  Needles::State before_zero_ = Needles::k_start;  ///< What `hex_` was.
  bool after_zero_ = false;                        ///< Which may belong to "0x".
  Position digits_ = 0;
  Places digit_places_;
  int separators_ = 0;
  Token token_;
  Url url_;
  Authorization authorization_;
  std::vector<Redactor::Region> regions_;
  std::vector<Redactor::Region>* found_ = nullptr;
};

}  // namespace builder
