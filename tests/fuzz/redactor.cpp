// However a text is cut, the same comes out; and no secret is in it.
#include "base/redactor.hpp"

#include "fuzz/target.hpp"

#include <algorithm>

BUILDER_FUZZ(redactor) {
  using namespace builder;
  std::string_view rest = input;
  const std::size_t secret_size = 6 + fuzz::take_byte(rest) % 32;
  const std::size_t chunk = 1 + fuzz::take_byte(rest) % 64;
  const std::string secret(rest.substr(0, secret_size));
  const std::string text(rest.substr(std::min(rest.size(), secret_size)));
  const auto redactor = std::make_shared<const Redactor>(
      std::vector<NamedSecret>{{"s", Secret(secret)}, {"t", Secret("a-b%41\\n'c &lt;d")}});
  const std::string whole = redactor->redact(text);
  RedactingStream stream(redactor);
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += chunk) {
    out += stream.feed(std::string_view(text).substr(at, chunk));
  }
  out += stream.finish();
  fuzz::expect(out == whole, "the stream differs from the whole: " + out + " / " + whole);
  const bool searched = secret.size() >= Redactor::k_shortest_secret && redactor->skipped().empty();
  // A row is out before the next one comes; a replacement may build a secret up.
  if (searched && !secret.contains('\n') && !secret.contains('\r') && !secret.contains('[') &&
      !secret.contains(']') && !std::string(Redactor::k_replacement).contains(secret)) {
    fuzz::expect(!whole.contains(secret), "the secret is left: " + whole);
  }
}
