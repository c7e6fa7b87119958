// A row is valid UTF-8 without control characters but tabs and colours, and nothing depends on the
// cut.
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "domain/log_text.hpp"

#include "fuzz/target.hpp"

#include <algorithm>
#include <vector>

namespace {

std::vector<std::string> rows(std::string_view text, std::size_t chunk) {
  static const auto redactor = std::make_shared<const builder::Redactor>(
      std::vector<builder::NamedSecret>{{"s", builder::Secret("the-secret-value")}});
  std::vector<std::string> rows;
  builder::domain::LineAssembler assembler(redactor,
                                           [&](const std::string& row) { rows.push_back(row); });
  for (std::size_t at = 0; at < text.size(); at += chunk) {
    assembler.feed(text.substr(at, chunk), builder::SteadyTime());
  }
  assembler.finish();
  return rows;
}

}  // namespace

BUILDER_FUZZ(log_rows) {
  using namespace builder;
  const std::size_t chunk = 1 + fuzz::take_byte(input) % 64;
  const auto whole = rows(input, input.size() + 1);
  fuzz::expect(rows(input, chunk) == whole, "the rows depend on the cut");
  for (const std::string& row : whole) {
    const std::string plain = domain::without_colours(row);
    fuzz::expect(is_utf8(plain), "a row is no UTF-8");
    fuzz::expect(std::ranges::none_of(
                     plain, [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7F; }),
                 "a row has a control character: " + row);
    fuzz::expect(
        !plain.contains("\u202E") && !plain.contains("\u2066") && !plain.contains("\u200B"),
        "a row hides something: " + row);
    fuzz::expect(!plain.contains("the-secret-value"), "a row has the secret: " + row);
  }
}
