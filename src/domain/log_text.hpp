#pragma once

#include "base/redactor.hpp"
#include "base/stop.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace builder::domain {

/// Turns the raw output of one stream of one step into rows for a person.
///
/// `\n`, `\r\n` and a lone `\r` end a line. Lines that end with a lone `\r` are a progress bar: the
/// last state of each second is passed on, and always the final one. Invalid UTF-8 becomes U+FFFD
/// byte by byte. The dashboard is a terminal, so these are dropped: control characters, escape
/// sequences other than colours (SGR), characters without width, and those that change the reading
/// direction. Secrets are taken out, also if the border of a chunk cuts them.
///
/// Memory stays bounded: a line longer than `k_longest_row` is passed on in several rows, and no
/// byte of it is lost. Not thread-safe.
class LineAssembler {
 public:
  static constexpr std::size_t k_longest_row = 48 * 1024;

  using Sink = std::function<void(const std::string& row)>;

  LineAssembler(std::shared_ptr<const Redactor> redactor, Sink sink);

  void feed(std::string_view chunk, SteadyTime now = std::chrono::steady_clock::now());
  /// The stream has ended: passes on what is still held.
  void finish();

 private:
  enum class State { ground, utf8, escape, control_sequence, string, string_escape, one_more };

  void take(unsigned char byte);
  void ground(unsigned char byte);
  void utf8(unsigned char byte);
  void escape(unsigned char byte);
  void control_sequence(unsigned char byte);
  void append(std::string_view text);
  void end_line();
  void end_progress();
  void pass_on(const std::string& row);
  std::string redacted(std::string row);

  RedactingStream stream_;
  Sink sink_;

  State state_ = State::ground;
  std::string sequence_;  ///< Bytes of an unfinished character or control sequence.
  std::string line_;
  bool in_long_line_ = false;
  bool after_return_ = false;
  bool in_private_key_ = false;
  std::string progress_;         ///< The last progress state not yet shown.
  bool progress_shown_ = false;  ///< The one before was, and nothing but returns came since.
  SteadyTime now_{};
  SteadyTime last_progress_{};
};

/// A row without its colours, the only sequences a row can have.
std::string without_colours(std::string row);

/// Any text as one line for a person: as a `LineAssembler` shows it, without colours, and without
/// what it shows of a secret before a `…`.
std::string shown_line(const std::shared_ptr<const Redactor>& redactor, std::string_view text);

}  // namespace builder::domain
