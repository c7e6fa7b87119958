#include "domain/log_text.hpp"

#include "base/utf8.hpp"

#include <algorithm>
#include <cctype>
#include <utility>

namespace builder::domain {

namespace {

constexpr std::string_view k_replacement_character = "\xEF\xBF\xBD";
constexpr std::size_t k_longest_sequence = 64;
constexpr std::chrono::seconds k_progress_interval{1};

/// Whether a row can stand inside a PEM block, whatever a tool puts in front of its lines.
bool is_key_row(std::string_view row) {
  constexpr std::size_t k_surely_base64 = 32;
  std::size_t run = 0;
  for (const char c : row) {
    run = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '/' ? run + 1 : 0;
    if (run >= k_surely_base64) {
      return true;
    }
  }
  return !row.contains(' ') || row.starts_with("Proc-Type:") || row.starts_with("DEK-Info:");
}

}  // namespace

LineAssembler::LineAssembler(std::shared_ptr<const Redactor> redactor, Sink sink)
    : stream_(std::move(redactor)), sink_(std::move(sink)) {
}

void LineAssembler::feed(std::string_view chunk, SteadyTime now) {
  now_ = now;
  while (!chunk.empty()) {
    // Plain text goes over in one piece; everything else byte by byte.
    if (state_ == State::ground && !after_return_) {
      const auto special = std::ranges::find_if(
          chunk, [](unsigned char c) { return (c < 0x20 && c != '\t') || c >= 0x7F; });
      const auto plain = static_cast<std::size_t>(special - chunk.begin());
      append(chunk.substr(0, plain));
      chunk.remove_prefix(plain);
      if (chunk.empty()) {
        return;
      }
    }
    take(static_cast<unsigned char>(chunk.front()));
    chunk.remove_prefix(1);
  }
}

void LineAssembler::take(unsigned char byte) {
  switch (state_) {
    case State::ground:
      ground(byte);
      break;
    case State::utf8:
      utf8(byte);
      break;
    case State::escape:
      escape(byte);
      break;
    case State::control_sequence:
      control_sequence(byte);
      break;
    case State::string:
      // Ends with BEL or ESC \ ; a line end ends it too, so that one stray ESC cannot eat a log.
      if (byte == 0x07) {
        state_ = State::ground;
      } else if (byte == 0x1B) {
        state_ = State::string_escape;
      } else if (byte == '\n') {
        state_ = State::ground;
        ground(byte);
      }
      break;
    case State::string_escape:
      state_ = byte == '\\' ? State::ground : State::string;
      break;
    case State::one_more:
      state_ = State::ground;
      break;
  }
}

void LineAssembler::ground(unsigned char byte) {
  if (after_return_) {
    after_return_ = false;
    if (byte == '\n') {
      end_line();
      return;
    }
    end_progress();
  }
  if (byte == '\n') {
    end_line();
  } else if (byte == '\r') {
    after_return_ = true;
  } else if (byte == 0x1B) {
    state_ = State::escape;
  } else if (byte == '\t' || (byte >= 0x20 && byte < 0x7F)) {
    const char c = static_cast<char>(byte);
    append({&c, 1});
  } else if (byte >= 0x80) {
    if (character_length(byte) == 0) {
      append(k_replacement_character);
    } else {
      sequence_.assign(1, static_cast<char>(byte));
      state_ = State::utf8;
    }
  }
}

void LineAssembler::utf8(unsigned char byte) {
  const auto first = static_cast<unsigned char>(sequence_[0]);
  const bool fits = sequence_.size() == 1 ? is_second_byte(first, byte)
                                          : is_continuation(static_cast<char>(byte));
  if (!fits) {
    for (std::size_t i = 0; i < sequence_.size(); ++i) {
      append(k_replacement_character);
    }
    sequence_.clear();
    state_ = State::ground;
    ground(byte);
    return;
  }
  sequence_ += static_cast<char>(byte);
  if (sequence_.size() == character_length(first)) {
    state_ = State::ground;
    if (!is_hidden(first_character(sequence_).code)) {
      append(sequence_);
    }
    sequence_.clear();
  }
}

void LineAssembler::escape(unsigned char byte) {
  state_ = State::ground;
  switch (byte) {
    case '[':
      sequence_.clear();
      state_ = State::control_sequence;
      break;
    case ']':  // OSC
    case 'P':  // DCS
    case 'X':  // SOS
    case '^':  // PM
    case '_':  // APC
      state_ = State::string;
      break;
    case ' ':
    case '#':
    case '%':
    case '(':
    case ')':
    case '*':
    case '+':
      state_ = State::one_more;
      break;
    case 0x1B:
      state_ = State::escape;
      break;
    case '\n':
    case '\r':
      ground(byte);
      break;
    default:
      break;  // A sequence of two bytes.
  }
}

void LineAssembler::control_sequence(unsigned char byte) {
  if (byte >= 0x40 && byte <= 0x7E) {
    const bool plain = std::ranges::all_of(
        sequence_, [](char c) { return (c >= '0' && c <= '9') || c == ';' || c == ':'; });
    state_ = State::ground;
    if (byte == 'm' && plain) {
      append("\x1B[" + sequence_ + "m");
    }
    sequence_.clear();
  } else if (byte < 0x20 || byte > 0x7E || sequence_.size() >= k_longest_sequence) {
    state_ = State::ground;
    sequence_.clear();
    ground(byte);
  } else {
    sequence_ += static_cast<char>(byte);
  }
}

void LineAssembler::append(std::string_view text) {
  while (!text.empty()) {
    const std::size_t room = k_longest_row - std::min(k_longest_row, line_.size());
    // Plain text may be cut anywhere; characters and colours come as a whole and may go over a bit.
    const bool whole = static_cast<unsigned char>(text.front()) >= 0x80 || text.front() == 0x1B;
    const std::size_t count =
        whole ? text.size() : std::min(std::max<std::size_t>(room, 1), text.size());
    line_ += text.substr(0, count);
    text.remove_prefix(count);
    if (line_.size() >= k_longest_row) {
      in_long_line_ = true;
      std::string safe = stream_.feed(line_);
      line_.clear();
      if (!safe.empty()) {
        sink_(safe);
      }
    }
  }
}

void LineAssembler::end_line() {
  const bool shown = std::exchange(progress_shown_, false);
  if (line_.empty() && !in_long_line_) {
    // "\r\r\n": the line end belongs to the text that the first return ended.
    if (shown && progress_.empty()) {
      return;
    }
    line_ = std::exchange(progress_, {});
  }
  progress_.clear();
  if (in_long_line_) {
    const std::string rest = redacted(std::exchange(line_, {}));
    in_long_line_ = false;
    if (!rest.empty()) {
      sink_(rest);
    }
    return;
  }
  pass_on(std::exchange(line_, {}));
}

void LineAssembler::end_progress() {
  if (in_long_line_) {
    end_line();
    return;
  }
  if (line_.empty()) {
    return;
  }
  if (now_ - last_progress_ >= k_progress_interval) {
    last_progress_ = now_;
    progress_.clear();
    progress_shown_ = true;
    pass_on(std::exchange(line_, {}));
  } else {
    progress_ = std::exchange(line_, {});
  }
}

void LineAssembler::pass_on(const std::string& row) {
  const bool begins_key = row.contains("-----BEGIN ") && row.contains("PRIVATE KEY-----");
  const bool ends_key = row.contains("-----END ") && row.contains("PRIVATE KEY-----");
  if (in_private_key_ && !begins_key && !ends_key && !is_key_row(row)) {
    in_private_key_ = false;  // Only its first lines were shown, e.g. by grep.
  }
  if (begins_key || in_private_key_) {
    in_private_key_ = !ends_key;
    sink_(std::string(Redactor::k_replacement));
    return;
  }
  sink_(redacted(row));
}

std::string LineAssembler::redacted(std::string row) {
  // With its end: what a tool has wrapped goes on in the next one.
  row = stream_.feed(row + '\n');
  row.pop_back();
  return row;
}

void LineAssembler::finish() {
  if (state_ == State::utf8) {
    for (std::size_t i = 0; i < sequence_.size(); ++i) {
      append(k_replacement_character);
    }
  }
  sequence_.clear();
  state_ = State::ground;
  after_return_ = false;
  if (line_.empty() && !in_long_line_) {
    // A progress bar that ended without a last line: show how it stood.
    if (!progress_.empty()) {
      pass_on(std::exchange(progress_, {}));
    }
    return;
  }
  end_line();
}

std::string without_colours(std::string row) {
  for (std::size_t at = row.find('\033'); at != std::string::npos; at = row.find('\033', at)) {
    row.erase(at, row.find('m', at) - at + 1);
  }
  return row;
}

std::string shown_line(const std::shared_ptr<const Redactor>& redactor, std::string_view text) {
  std::string line;
  LineAssembler rows(redactor, [&](const std::string& row) {
    line += line.empty() ? "" : " ";
    line += row;
  });
  rows.feed(text);
  rows.finish();
  return redactor->redact_shortened(without_colours(std::move(line)));
}

}  // namespace builder::domain
