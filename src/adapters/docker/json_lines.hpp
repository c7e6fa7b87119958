#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace builder::adapters::docker {

/// Puts a stream of JSON texts, one a line, together from chunks cut anywhere. A line longer than
/// the limit is dropped: the Engine's progress lines are short, and nothing may grow without end.
class JsonLines {
 public:
  using OnLine = std::function<void(std::string_view line)>;

  explicit JsonLines(OnLine on_line) : on_line_(std::move(on_line)) {}

  void feed(std::string_view chunk);
  /// The stream is over: hands out a last line that had no end.
  void finish();

 private:
  void append(std::string_view part);
  void end_line();

  OnLine on_line_;
  std::string partial_;
  bool too_long_ = false;
};

}  // namespace builder::adapters::docker
