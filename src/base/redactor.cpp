#include "base/redactor.hpp"

#include "base/credential_shapes.hpp"
#include "base/text.hpp"
#include "base/text_forms.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace builder {

namespace {

constexpr std::array<std::string_view, 40> k_common_words{
    "production", "development", "staging",  "testing",    "default",   "localhost", "password",
    "passwd",     "secret",      "changeme", "change-me",  "undefined", "127.0.0.1", "0.0.0.0",
    "example",    "string",      "builder",  "enabled",    "disabled",  "public",    "private",
    "master",     "release",     "postgres", "postgresql", "mariadb",   "mongodb",   "database",
    "sqlite",     "server",      "client",   "system",     "docker",    "nodejs",    "python",
    "version",    "warning",     "redacted", "[REDACTED]", "verbose"};

bool is_common(std::string_view value) {
  return std::ranges::find(k_common_words, value) != k_common_words.end();
}

void add_text(std::vector<Needles::Needle>& needles, std::string text,
              std::uint8_t kind = Needles::k_secret) {
  if (text.size() >= Redactor::k_shortest_secret) {
    needles.push_back({std::move(text), kind});
  }
}

void add_forms(std::vector<Needles::Needle>& needles, std::string_view value) {
  for (std::string& meaning : meanings_of_encodings(value)) {
    add_text(needles, std::move(meaning));
  }
  if (const std::string_view closed = closed_part(value);
      closed.size() < value.size() && !is_common(closed)) {
    add_forms(needles, closed);
  }
}

void add_shapes(std::vector<Needles::Needle>& needles) {
  for (const TokenShape& shape : k_token_shapes) {
    needles.push_back({std::string(shape.prefix), Needles::k_token});
  }
  needles.push_back({"://", Needles::k_url});
  needles.push_back({"http://", Needles::k_http});
  needles.push_back({"https://", Needles::k_http});
  for (const char* word : {"authorization", "Authorization", "AUTHORIZATION"}) {
    needles.push_back({word, Needles::k_authorization});
  }
}

}  // namespace

void add_region(std::vector<Redactor::Region>& regions, Redactor::Region region) {
  auto at = std::ranges::upper_bound(regions, region.begin, {}, &Redactor::Region::end);
  const auto first = at;
  while (at != regions.end() && at->begin < region.end) {
    region.begin = std::min(region.begin, at->begin);
    region.end = std::max(region.end, at->end);
    ++at;
  }
  regions.insert(regions.erase(first, at), region);
}

std::string replace_regions(std::string_view text, const std::vector<Redactor::Region>& regions) {
  std::string out;
  std::size_t done = 0;
  for (const Redactor::Region& region : regions) {
    out += text.substr(done, region.begin - done);
    out += Redactor::k_replacement;
    done = region.end;
  }
  out += text.substr(done);
  return out;
}

Redactor::Redactor(const std::vector<NamedSecret>& secrets) : Redactor(Written{}) {
  Written written = write(secrets);
  text_ = Needles(std::move(written.text));
  hex_ = Needles(std::move(written.hex));
}

Redactor::Redactor(Written written) : text_(std::move(written.text)), hex_(std::move(written.hex)) {
}

Redactor::Written Redactor::write(const std::vector<NamedSecret>& secrets) {
  Written written;
  add_shapes(written.text);
  std::size_t room = k_most_bytes;
  for (const NamedSecret& secret : secrets) {
    const std::string& value = secret.value.reveal();
    if (value.empty()) {
      continue;
    }
    if (value.size() < k_shortest_secret || is_common(value)) {
      skipped_.push_back(secret.name);
      continue;
    }
    if (value.size() > room) {
      beyond_.push_back(secret.name);
      continue;
    }
    room -= value.size();
    add_forms(written.text, value);
    for (const std::size_t phase : {0U, 1U, 2U}) {
      std::string core = base64_core(value, phase);
      add_text(written.text, core, Needles::k_encoded);
      std::ranges::replace(core, '+', '-');
      std::ranges::replace(core, '/', '_');
      add_text(written.text, std::move(core), Needles::k_encoded);
    }
    written.hex.push_back({hex(value), Needles::k_encoded});
    std::string_view rest = value;
    while (value.contains('\n') && !rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      std::string_view line = rest.substr(0, end);
      while (line.ends_with('\r')) {
        line.remove_suffix(1);
      }
      if (!is_common(line)) {
        add_forms(written.text, line);
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return written;
}

std::string Redactor::redact(std::string_view text) const {
  return replace_regions(text, find(text));
}

std::string Redactor::redact_shortened(std::string_view text) const {
  constexpr std::string_view k_left_out = "…";
  std::vector<Region> regions;
  Needles::State state = Needles::k_start;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text.substr(at).starts_with(k_left_out) && text_.depth(state) >= k_shortest_secret) {
      regions.push_back({at - text_.depth(state), at});
    }
    state = text_.step(state, text[at]);
  }
  return replace_regions(text, regions);
}

std::vector<Redactor::Region> Redactor::find(std::string_view text) const {
  // The stream does not outlive this call.
  RedactingStream stream(std::shared_ptr<const Redactor>(std::shared_ptr<const Redactor>(), this));
  std::vector<Region> found;
  stream.found_ = &found;
  static_cast<void>(stream.feed(text));
  static_cast<void>(stream.finish());
  return found;
}

}  // namespace builder
