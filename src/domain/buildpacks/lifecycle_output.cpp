#include "domain/buildpacks/lifecycle_output.hpp"

#include "base/text.hpp"

#include <algorithm>
#include <array>

namespace builder::domain::buildpacks {

namespace {

constexpr std::string_view k_phase = "===> ";
constexpr std::string_view k_error = "ERROR: ";
constexpr std::string_view k_begin = "Running build for buildpack ";
constexpr std::string_view k_end = "Finished running build for buildpack ";
constexpr std::string_view k_first_word = "Running build command";
constexpr std::string_view k_last_word = "Processing layers";
constexpr std::string_view k_detecting = "DETECTING";
constexpr std::size_t k_most_errors = 20;
constexpr std::size_t k_most_buildpacks = 100;
constexpr std::size_t k_longest_row = 300;
constexpr std::size_t k_longest_error = 1'000;

/// What lifecycles 0.16 to 0.20 say at level debug, and warnings about files a platform need not
/// have.
constexpr std::array k_chatter{
    std::string_view("Timer: "),
    std::string_view("Starting creator..."),
    std::string_view("Starting analyzer..."),
    std::string_view("Starting detector..."),
    std::string_view("Starting restorer..."),
    std::string_view("Starting builder..."),
    std::string_view("Starting exporter..."),
    std::string_view("Parsing inputs..."),
    std::string_view("Ensuring privileges..."),
    std::string_view("Executing command..."),
    std::string_view("Run image info in analyzed metadata"),
    std::string_view("{\"Reference\":"),
    std::string_view("Reading buildpack directory"),
    std::string_view("Reading Buildpack Layers directory"),
    std::string_view("Processing buildpack directory"),
    std::string_view("Processing launch layer"),
    std::string_view("Processing build layer"),
    std::string_view("Processing cache layer"),
    std::string_view("Retrieving data for "),
    std::string_view("Retrieving previous image SBOM"),
    std::string_view("Writing layer metadata"),
    std::string_view("Reusing tarball for layer "),
    std::string_view("Layer '"),
    std::string_view("Found SBOM of type "),
    std::string_view("Found image with identifier "),
    std::string_view("Setting CNB_"),
    std::string_view("Setting WORKDIR"),
    std::string_view("Setting ENTRYPOINT"),
    std::string_view("Prepending /cnb/"),
    std::string_view("Looking up buildpack"),
    std::string_view("Finding plan"),
    std::string_view("Creating plan directory"),
    std::string_view("Preparing paths"),
    std::string_view("Updating environment"),
    std::string_view("Reading output files"),
    std::string_view("Updating buildpack processes"),
    std::string_view("Updating process list"),
    std::string_view("Copying SBOM files"),
    std::string_view("Creating SBOM files"),
    std::string_view("Listing processes"),
    std::string_view("Warning: Did not find SBOM "),
    std::string_view("No project metadata found"),
    std::string_view("Cache '"),
    std::string_view("Warning: Not restoring "),
};

bool is_chatter(std::string_view line) {
  return line.empty() || std::ranges::any_of(k_chatter, [line](std::string_view beginning) {
           return line.starts_with(beginning);
         });
}

/// The line without colour codes: they appear in errors that precede the option that forbids them.
std::string plain_text(std::string_view line) {
  std::string text;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b' && i + 1 < line.size() && line[i + 1] == '[') {
      i = std::min(line.find('m', i), line.size());
    } else {
      text += line[i];
    }
  }
  while (text.ends_with('\r') || text.ends_with(' ')) {
    text.pop_back();
  }
  return text;
}

std::string shown_row(std::string_view text) {
  return printable_line(text.substr(0, k_longest_row));
}

/// `id@version`, perhaps followed by ` (code)`.
Buildpack buildpack_of(std::string_view text) {
  text = text.substr(0, text.find(' '));
  const auto at = text.rfind('@');
  return at == std::string_view::npos ? Buildpack{.id = shown_row(text), .version = {}}
                                      : Buildpack{.id = shown_row(text.substr(0, at)),
                                                  .version = shown_row(text.substr(at + 1))};
}

/// `id   version`.
std::optional<Buildpack> listed_buildpack(std::string_view line) {
  const auto blank = line.find(' ');
  const auto version = line.find_first_not_of(' ', blank);
  if (blank == 0 || blank == std::string_view::npos || version == std::string_view::npos ||
      line.find(' ', version) != std::string_view::npos || line.substr(0, blank).ends_with(':')) {
    return std::nullopt;
  }
  return Buildpack{.id = shown_row(line.substr(0, blank)),
                   .version = shown_row(line.substr(version))};
}

}  // namespace

LineMeaning LifecycleReader::read(std::string_view raw) {
  const std::string text = plain_text(raw);
  const std::string_view line = text;
  if (line.starts_with(k_phase) && !buildpack_speaks_) {
    trace_.phase = shown_row(line.substr(k_phase.size()));
    listing_ = false;
    return {LineKind::phase_begins, trace_.phase};
  }
  if (line.starts_with(k_begin) && !buildpack_speaks_) {
    trace_.building = buildpack_of(line.substr(k_begin.size())).str();
    return {LineKind::buildpack_begins, trace_.building};
  }
  if (line.starts_with(k_end)) {
    buildpack_speaks_ = false;
    trace_.building.clear();
    return {LineKind::buildpack_ends, {}};
  }
  if (line == k_first_word) {
    buildpack_speaks_ = true;
    return {LineKind::chatter, {}};
  }
  if (line == k_last_word) {
    buildpack_speaks_ = false;
    return {LineKind::chatter, {}};
  }
  if (buildpack_speaks_) {
    // Its failure is the lifecycle's first word again.
    if (line.starts_with("ERROR: failed to build: ")) {
      buildpack_speaks_ = false;
      note_error(line);
    }
    return {};
  }
  if (line.starts_with(k_error)) {
    note_error(line);
    return {};
  }
  if (trace_.phase == k_detecting) {
    return read_detection(line);
  }
  return {is_chatter(line) ? LineKind::chatter : LineKind::plain, {}};
}

LineMeaning LifecycleReader::read_detection(std::string_view line) {
  constexpr std::string_view k_failed = "err:  ";
  if (line.starts_with("Timer: ")) {
    listing_ = false;
    return {LineKind::chatter, {}};
  }
  if (line.starts_with("Resolving plan... ")) {
    listing_ = true;
    trace_.taking_part.clear();
    return {LineKind::detection, {}};
  }
  if (line.starts_with(k_failed)) {
    if (trace_.failed_detect.size() < k_most_buildpacks) {
      trace_.failed_detect.push_back(buildpack_of(line.substr(k_failed.size())));
    }
    return {LineKind::detection, {}};
  }
  if (listing_) {
    if (line.ends_with(" buildpacks participating")) {
      return {};
    }
    if (auto buildpack = listed_buildpack(line);
        buildpack && trace_.taking_part.size() < k_most_buildpacks) {
      trace_.taking_part.push_back(*std::move(buildpack));
      return {};
    }
  }
  return {is_chatter(line) || line.starts_with("Checking for match") ? LineKind::chatter
                                                                     : LineKind::detection,
          {}};
}

void LifecycleReader::note_error(std::string_view line) {
  if (trace_.errors.size() >= k_most_errors) {
    trace_.errors.pop_back();
  }
  // With a registry's words, which stand at its end.
  trace_.errors.push_back(printable_line(line.substr(k_error.size(), k_longest_error)));
}

}  // namespace builder::domain::buildpacks
