#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

namespace builder::domain {

/// The platform's log types: how the dashboard colours a row.
enum class LogType { stdout_, stderr_, info, warning, error };

/// The word the platform knows: STDOUT, STDERR, INFO, WARNING, ERROR.
std::string_view to_string(LogType type);

/// A step of the build (a BuildKit vertex, a CNB phase, or one of our own stages) began.
struct StepStarted {
  std::uint32_t step = 0;  ///< Unique within one build, counted from 1 in order of appearance.
  std::string name;
  bool cached = false;  ///< Its result was found: nothing is run for it.
};

struct StepFinished {
  std::uint32_t step = 0;
  std::string name;
  bool cached = false;
  std::string error;  ///< Empty: it succeeded.
  std::chrono::milliseconds duration{0};
};

/// Whether the engine stopped the step because something else ended the build.
bool was_stopped(const StepFinished& step);

/// Raw output of a step: a chunk, not a line. May hold any bytes.
struct StepOutput {
  std::uint32_t step = 0;
  bool is_stderr = false;
  std::string data;
};

/// A line of our own for the customer; no line end in it.
struct Message {
  LogType type = LogType::info;
  std::string text;
};

/// The engine dropped output of the build and nobody knows how much. The log is not complete.
struct OutputLost {
  std::string why;  ///< A line for the customer.
};

/// How far a part of a step is: a layer that is pulled, the context that is sent, an export.
struct Transfer {
  std::uint32_t step = 0;
  std::string name;           ///< As the engine writes it; one step has several.
  std::uint64_t current = 0;  ///< Bytes so far; 0 as well where the part moves none.
  std::uint64_t total = 0;    ///< 0: not known.
  bool done = false;
};

/// A sign of life without a log line of its own, as bytes of a layer being sent.
struct Activity {
  std::string line = {};  ///< For the customer; mostly empty.
  // For whoever watches; never in the log.
  std::optional<Transfer> transfer = {};
  std::optional<std::uint32_t> waiting = {};  ///< This step rests until another one needs it.
};

using BuildEvent =
    std::variant<StepStarted, StepFinished, StepOutput, Message, OutputLost, Activity>;

/// Takes the ordered event stream of one build. Called from any thread, calls are serialised by
/// the receiver.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual void emit(BuildEvent event) = 0;

  void info(std::string text) { emit(Message{LogType::info, std::move(text)}); }

  void warning(std::string text) { emit(Message{LogType::warning, std::move(text)}); }
};

}  // namespace builder::domain
