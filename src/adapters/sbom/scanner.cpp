#include "adapters/sbom/scanner.hpp"

#include "adapters/oci/reference.hpp"
#include "adapters/sbom/sbom_files.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "domain/build_event.hpp"
#include "ports/byte_sink.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string_view>

namespace builder::adapters::sbom {

namespace {

using nlohmann::json;

constexpr const char* k_setting = "SBOM_SCANNER";
// As BuildKit has them. The folder's name is that of the scan.
constexpr const char* k_source = "/run/src/core/sbom";
constexpr const char* k_destination = "/run/out";
constexpr std::string_view k_ending = ".spdx.json";
constexpr std::size_t k_most_known = 10;
constexpr std::size_t k_most_texts = 1'000;

/// What the scanner leaves, as it comes.
class ScanFiles final : public ports::ByteSink {
 public:
  Result<> begin() override {
    files_.emplace(
        [](std::string_view path) { return path.ends_with(k_ending) && !path.contains('/'); },
        SbomFiles::k_largest_sum + (std::size_t{1} << 20U));
    return {};
  }

  Result<> write(std::string_view bytes) override { return files_->feed(bytes); }

  [[nodiscard]] std::map<std::string, std::string> files() const {
    return files_ ? files_->files() : std::map<std::string, std::string>();
  }

 private:
  std::optional<SbomFiles> files_;
};

/// Nobody watches a scan.
class NoEvents final : public domain::EventSink {
 public:
  void emit(domain::BuildEvent /*event*/) override {}
};

std::vector<std::string> texts_of(const json& object, const char* name) {
  std::vector<std::string> texts;
  const auto list = object.find(name);
  if (list == object.end() || !list->is_array() || list->size() > k_most_texts) {
    return texts;
  }
  for (const json& entry : *list) {
    if (entry.is_string()) {
      texts.push_back(entry.get<std::string>());
    }
  }
  return texts;
}

/// The scanner's image, which all deployments need.
Error operators(Error error, const std::string& scanner) {
  const bool may_pass = error.is_transient() || error.kind == ErrorKind::cancelled;
  error = std::move(error).with_context("the scanner " + printable_line(scanner, 200));
  return may_pass ? std::move(error) : std::move(error).for_operator(k_setting);
}

/// What the engine says of a scan, or the scanner by its exit code. Another try makes it no better,
/// except where a peer was away.
Error scan_error(buildkit::SolveFailure failed) {
  Error error = std::move(failed.error);
  error.customer.clear();
  if (error.is_transient() || error.kind == ErrorKind::cancelled) {
    return std::move(error).with_context("scanning the image");
  }
  error.kind = ErrorKind::conflict;
  if (failed.exit_code) {
    error.message = fmt::format("the scanner failed with exit code {}", *failed.exit_code);
    return error;
  }
  return std::move(error).with_context("scanning the image");
}

}  // namespace

Result<std::vector<domain::Sbom>> Scanner::scan(const ports::JobContext& job,
                                                const oci::Image& image) {
  BUILDER_TRY_ASSIGN(buildkit::ImageCommand scan, command(job));
  scan.mounts[k_source] = {.reference = oci::for_engine(image.reference),
                           .platform = oci::platform_of_config(image.config)};
  ScanFiles taken;
  NoEvents nobody;
  auto solved =
      solver_.solve(job, {.exporter = "tar", .result = &taken, .command = std::move(scan)}, nobody);
  if (!solved) {
    return std::unexpected(scan_error(std::move(solved).error()));
  }
  std::vector<domain::Sbom> sboms;
  for (const auto& [name, text] : taken.files()) {
    auto sbom = domain::read_sbom(text);
    if (!sbom || sbom->predicate_type != domain::k_spdx_type) {
      return failure(ErrorKind::conflict,
                     fmt::format("the scanner's {}: {}", printable_line(name, 100),
                                 sbom ? "it is not SPDX" : sbom.error().message));
    }
    sboms.push_back(*std::move(sbom));
  }
  return sboms.empty()
             ? failure(ErrorKind::conflict, fmt::format("the scanner wrote no *{}", k_ending))
             : Result<std::vector<domain::Sbom>>(std::move(sboms));
}

Result<buildkit::ImageCommand> Scanner::command(const ports::JobContext& job) {
  auto reference = oci::parse_reference(scanner_);
  if (!reference) {
    return std::unexpected(operators(std::move(reference).error(), scanner_));
  }
  if (reference->digest.empty()) {
    auto found = client_.head(job, *reference);
    if (!found) {
      return std::unexpected(operators(std::move(found).error(), scanner_));
    }
    *reference = reference->with_digest(std::move(found->digest));
  }
  std::optional<Start> start;
  if (auto known = known_.lock(); known->contains(reference->digest)) {
    start = known->at(reference->digest);
  }
  if (!start) {
    auto image = client_.image(job, *reference);
    auto read = image ? read_start(image->config) : std::unexpected(std::move(image).error());
    if (!read) {
      return std::unexpected(operators(std::move(read).error(), scanner_));
    }
    start = *std::move(read);
    auto known = known_.lock();
    if (known->size() >= k_most_known) {
      known->clear();
    }
    known->insert_or_assign(reference->digest, *start);
  }
  BUILDER_TRY_ASSIGN(const buildkit::EngineInfo engine, solver_.known_engine(job.stop));
  buildkit::ImageCommand command{
      .name = "sbom",
      .image = {.reference = oci::for_engine(*reference), .platform = engine.platform},
      .arguments = std::move(start->arguments),
      .environment = std::move(start->environment),
      .folder = std::move(start->folder),
      .mounts = {},
      .result = k_destination};
  command.environment.push_back(std::string("BUILDKIT_SCAN_SOURCE=") + k_source);
  command.environment.push_back(std::string("BUILDKIT_SCAN_DESTINATION=") + k_destination);
  return command;
}

Result<Scanner::Start> Scanner::read_start(const std::string& config) {
  const json image = parse_json(config);
  const auto own = image.is_object() ? image.find("config") : image.end();
  Start start;
  if (image.is_object() && own != image.end() && own->is_object()) {
    start = {.arguments = texts_of(*own, "Entrypoint"),
             .environment = texts_of(*own, "Env"),
             .folder = text_of(*own, "WorkingDir")};
    std::ranges::move(texts_of(*own, "Cmd"), std::back_inserter(start.arguments));
  }
  return start.arguments.empty()
             ? failure(ErrorKind::invalid_input, "its image has neither entrypoint nor command")
             : Result<Start>(std::move(start));
}

}  // namespace builder::adapters::sbom
