#pragma once

#include "domain/build_event.hpp"
#include "domain/log_text.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace builder::app::cli {

/// The output of a build's steps as rows that are safe to show, for readers that take whole rows.
/// Not thread-safe.
class OutputLines {
 public:
  using Sink = std::function<void(std::uint32_t step, bool is_stderr, std::string row)>;

  explicit OutputLines(Sink sink) : sink_(std::move(sink)) {}

  void feed(const domain::StepOutput& output);
  /// The step has ended: passes on what has no line end.
  void end(std::uint32_t step);
  void end_all();
  /// More than one step is printing.
  [[nodiscard]] bool is_mixed() const;

 private:
  const Sink sink_;
  std::map<std::pair<std::uint32_t, bool>, std::unique_ptr<domain::LineAssembler>> lines_;
};

/// A stranger's text as one row that is safe to show.
std::string shown_row(std::string_view text);

}  // namespace builder::app::cli
