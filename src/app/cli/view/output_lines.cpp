#include "app/cli/view/output_lines.hpp"

namespace builder::app::cli {

namespace {

/// Secrets are gone by now, but for those that show by their shape.
const std::shared_ptr<const Redactor>& shapes() {
  static const auto redactor = std::make_shared<const Redactor>(std::vector<NamedSecret>());
  return redactor;
}

}  // namespace

void OutputLines::feed(const domain::StepOutput& output) {
  auto& lines = lines_[{output.step, output.is_stderr}];
  if (lines == nullptr) {
    lines = std::make_unique<domain::LineAssembler>(
        shapes(), [this, step = output.step, is_stderr = output.is_stderr](const std::string& row) {
          sink_(step, is_stderr, domain::without_colours(row));
        });
  }
  lines->feed(output.data);
}

void OutputLines::end(std::uint32_t step) {
  for (const bool is_stderr : {false, true}) {
    if (const auto lines = lines_.extract({step, is_stderr})) {
      lines.mapped()->finish();
    }
  }
}

void OutputLines::end_all() {
  while (!lines_.empty()) {
    end(lines_.begin()->first.first);
  }
}

bool OutputLines::is_mixed() const {
  return !lines_.empty() && lines_.begin()->first.first != lines_.rbegin()->first.first;
}

std::string shown_row(std::string_view text) {
  return domain::shown_line(shapes(), text);
}

}  // namespace builder::app::cli
