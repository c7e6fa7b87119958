// A layer as any registry may give it, and what an image says of its history: however the stream is
// cut, the same bytes come out, each belongs to a file or to none, and a secret in a plain layer is
// found.
#include "adapters/image_search/history_lines.hpp"
#include "adapters/image_search/tar_names.hpp"
#include "adapters/image_search/unpacker.hpp"
#include "domain/image_findings.hpp"
#include "domain/image_secrets.hpp"

#include "fuzz/target.hpp"

#include <algorithm>

namespace {

using namespace builder;
using namespace builder::adapters::image_search;

constexpr std::size_t k_most = std::size_t{16} << 20U;

std::string unpacked(std::string_view packed, std::size_t width) {
  std::string out;
  const auto unpacker = make_unpacker([&](std::string_view bytes) {
    out += bytes;
    return out.size() < k_most;
  });
  for (std::size_t at = 0; at < packed.size(); at += width) {
    if (!unpacker->feed(packed.substr(at, width))) {
      return out;
    }
  }
  static_cast<void>(unpacker->finish());
  return out;
}

}  // namespace

BUILDER_FUZZ(image_layer) {
  static const domain::SoughtSecrets sought({{"variable X", Secret("npm_7Hq2LzP9xWv4Tn8RkYb3")}});
  const std::size_t width = fuzz::take_byte(input) + 1;
  const std::string whole = unpacked(input, input.size() + 1);
  if (whole.size() < k_most) {
    const std::string pieces = unpacked(input, width);
    // Where a stream breaks off, one way may have seen some more of it.
    fuzz::expect(
        std::string_view(whole).starts_with(pieces) || std::string_view(pieces).starts_with(whole),
        "other bytes come out");
  }
  std::string all;
  std::size_t hits = 0;
  domain::SecretScanner scanner(sought);
  TarNames names([&](std::string_view bytes, std::string_view path, TarNames::Part) {
    fuzz::expect(path.size() <= TarNames::k_longest_name, "a name of any length");
    all += bytes;
    scanner.feed(bytes, [&](std::size_t, std::size_t) { ++hits; });
  });
  for (std::size_t at = 0; at < whole.size(); at += width) {
    names.feed(std::string_view(whole).substr(at, width));
  }
  fuzz::expect(std::string_view(whole).starts_with(all) && whole.size() - all.size() < 512,
               "bytes are lost");
  fuzz::expect(hits > 0 || !all.contains("npm_7Hq2LzP9xWv4Tn8RkYb3"), "a secret is not found");
  const std::vector<std::size_t> lines =
      lines_of_history(input, {"RUN x", "COPY . /app", std::string(input.substr(0, 20))});
  const auto rows = static_cast<std::size_t>(std::ranges::count(input, '\n')) + 1;
  fuzz::expect(lines.size() == 3 && std::ranges::max(lines) <= rows, "a line that is not there");
  const domain::LayerNote note = domain::read_layer_note(input);
  fuzz::expect(domain::read_layer_note(domain::write_layer_note(note)).layers == note.layers,
               "another note");
}
