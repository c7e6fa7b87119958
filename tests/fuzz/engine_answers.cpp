// What an engine says is read however it is cut, and what is told of it is one line of text.
#include "adapters/buildkit/client/downloads.hpp"
#include "adapters/buildkit/diagnosis/engine_words.hpp"
#include "adapters/buildkit/transfer/tar.hpp"
#include "adapters/docker/json_lines.hpp"
#include "adapters/docker/push_stream.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "fakes/characters.hpp"

#include "fuzz/target.hpp"

#include <algorithm>
#include <vector>

namespace {

std::vector<std::string> lines_of(std::string_view text, std::size_t chunk) {
  std::vector<std::string> lines;
  builder::adapters::docker::JsonLines reader(
      [&](std::string_view line) { lines.emplace_back(line); });
  for (std::size_t at = 0; at < text.size(); at += chunk) {
    reader.feed(text.substr(at, chunk));
  }
  reader.finish();
  return lines;
}

}  // namespace

BUILDER_FUZZ(engine_answers) {
  using namespace builder;
  using namespace builder::adapters;
  const std::size_t chunk = 1 + fuzz::take_byte(input) % 64;
  const auto whole = lines_of(input, input.size() + 1);
  fuzz::expect(lines_of(input, chunk) == whole, "the lines depend on the cut");
  docker::PushStream push;
  for (const std::string& line : whole) {
    push.take(line);
  }
  fuzz::expect(!push.succeeded() || push.error().empty(), "an error is a success");
  static_cast<void>(push.bytes());

  if (const auto files = buildkit::read_tar(input)) {
    std::size_t bytes = 0;
    for (const auto& [path, content] : *files) {
      bytes += content.size();
    }
    fuzz::expect(bytes <= input.size(), "the files are larger than the tar");
  }
  buildkit::RecordedDownloads downloads;
  static_cast<void>(buildkit::read_record(input, downloads));
  for (const auto& [url, digest] : downloads.files) {
    const std::string host = url.substr(0, url.find('/', url.find("://") + 3));
    fuzz::expect(
        url.find_first_of("?# \n") == std::string::npos && !host.contains('@') && is_digest(digest),
        "an address that may hold a secret: " + url);
  }
  const std::string line = builder::printable_line(input);
  fuzz::expect(is_utf8(line), "a line is no UTF-8");
  fuzz::expect(std::ranges::none_of(line, [](unsigned char c) { return c < 0x20 || c == 0x7F; }),
               "a line has a control character: " + line);
  fuzz::expect(builder::printable_line(line) == line, "not all is taken out at once: " + line);
  const std::string shortened = truncate_characters(line, 191);
  fuzz::expect(fakes::characters_of(shortened) <= 191 && is_utf8(shortened),
               "a line is not cut well");
  fuzz::expect(buildkit::without_engine_paths(input).size() <= 2 * input.size() + 32,
               "words that nobody said");
  fuzz::expect(input.contains(buildkit::cause_of(input)), "words of nobody");
  static_cast<void>(buildkit::is_engine_fault(input));
  static_cast<void>(buildkit::is_runtime_message(input));
  static_cast<void>(buildkit::is_network_trouble(input));
}
