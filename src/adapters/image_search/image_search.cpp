#include "adapters/image_search/image_search.hpp"

#include "adapters/image_search/history_lines.hpp"
#include "adapters/image_search/tar_names.hpp"
#include "adapters/image_search/unpacker.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>

namespace builder::adapters::image_search {

namespace {

using domain::FoundFile;
using domain::ImageFinding;
using nlohmann::json;
using ports::ImageSearchReport;
using ports::ImageSearchSpec;
using ports::JobContext;
using Clock = std::chrono::steady_clock;
using Place = ImageFinding::Place;

constexpr std::uint64_t k_most_unpacked = std::uint64_t{64} << 30U;
constexpr std::size_t k_most_layers = 512;
constexpr std::size_t k_most_history = 4096;
/// Of one secret in one layer, and of all: who has so many needs no more of them.
constexpr std::size_t k_most_files = 3;
constexpr std::size_t k_most_found = 512;
constexpr std::size_t k_shown_path = 120;
constexpr std::size_t k_shown_origin = 60;
constexpr std::uint64_t k_alive_every = std::uint64_t{8} << 20U;

struct Layer {
  std::string digest;
  bool lies_elsewhere = false;
};

struct HistoryEntry {
  std::string created_by;
  bool has_layer = false;
};

/// With the entry of the history that made what holds it.
struct Found {
  ImageFinding finding;
  std::optional<std::size_t> entry = {};
};

std::vector<Layer> layers_of(const json& manifest) {
  std::vector<Layer> layers;
  const auto list = manifest.is_object() ? manifest.find("layers") : manifest.end();
  if (!manifest.is_object() || list == manifest.end() || !list->is_array()) {
    return layers;
  }
  for (const json& entry : *list) {
    if (entry.is_object()) {
      const auto urls = entry.find("urls");
      layers.push_back({.digest = text_of(entry, "digest"),
                        .lies_elsewhere = urls != entry.end() && !urls->empty()});
    }
  }
  return layers;
}

std::vector<HistoryEntry> history_of(const json& config) {
  std::vector<HistoryEntry> history;
  const auto list = config.find("history");
  if (list == config.end() || !list->is_array() || list->size() > k_most_history) {
    return history;
  }
  for (const json& entry : *list) {
    if (!entry.is_object()) {
      return {};
    }
    const auto empty = entry.find("empty_layer");
    const bool is_empty = empty != entry.end() && empty->is_boolean() && empty->get<bool>();
    history.push_back({.created_by = text_of(entry, "created_by"), .has_layer = !is_empty});
  }
  return history;
}

/// As a person wrote it, more or less.
std::string shown_origin(std::string_view created_by) {
  constexpr std::string_view k_mark = " # buildkit";
  constexpr std::string_view k_shell = "/bin/sh -c ";
  std::string text = printable_line(created_by);
  if (text.ends_with(k_mark)) {
    text.resize(text.size() - k_mark.size());
  }
  // RUN with ARGs: their values stand first, and are no matter here.
  if (const std::size_t shell = text.find(k_shell);
      shell != std::string::npos && (text.starts_with("RUN ") || shell == 0)) {
    text = "RUN " + text.substr(shell + k_shell.size());
  }
  return truncate_characters(text, k_shown_origin);
}

std::string shown_path(std::string_view path) {
  while (path.starts_with("./") || path.starts_with('/')) {
    path.remove_prefix(path.starts_with('/') ? 1 : 2);
  }
  return path.empty() ? std::string() : printable_line("/" + std::string(path), k_shown_path);
}

/// One layer as it comes.
class LayerSearch {
 public:
  LayerSearch(const JobContext& job, const ImageSearchSpec& spec) : job_(job), spec_(spec) {}

  /// From the beginning.
  void begin() {
    files_.clear();
    counts_ = {};
    last_path_.reset();
    bytes_ = 0;
    told_ = 0;
    failed_.reset();
    scanner_.emplace(spec_.sought);
    names_.emplace([this](std::string_view bytes, std::string_view path, TarNames::Part) {
      scanner_->feed(bytes, [&](std::size_t, std::size_t secret) { found(secret, path); });
    });
    unpacker_ = make_unpacker([this](std::string_view bytes) { return take(bytes); });
  }

  /// False: nothing more is wanted; `failed` says why.
  bool feed(std::string_view packed) {
    if (auto fed = unpacker_->feed(packed); !fed && !failed_) {
      failed_ = std::move(fed).error();
    }
    return !failed_;
  }

  Result<> finish() { return failed_ ? std::unexpected(*failed_) : unpacker_->finish(); }

  [[nodiscard]] const std::optional<Error>& failed() const { return failed_; }

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  [[nodiscard]] std::vector<FoundFile> files() const { return {files_.begin(), files_.end()}; }

 private:
  bool take(std::string_view bytes) {
    bytes_ += bytes.size();
    names_->feed(bytes);
    if (bytes_ - told_ >= k_alive_every) {
      told_ = bytes_;
      spec_.alive();
    }
    if (job_.stop.stop_requested()) {
      failed_ = Error{.kind = ErrorKind::cancelled, .message = "stopped"};
    } else if (Clock::now() >= job_.deadline) {
      failed_ = Error{.kind = ErrorKind::timed_out, .message = "the time is over"};
    } else if (bytes_ > k_most_unpacked) {
      failed_ = Error{.kind = ErrorKind::invalid_input, .message = "it unpacks to too much"};
    }
    return !failed_;
  }

  void found(std::size_t secret, std::string_view path) {
    if (last_path_ != path) {
      last_path_ = path;
      // What is found is remembered, and tells none; a part of one would not be recognised.
      last_shown_ = domain::secrets_in(spec_.sought, path).empty() ? shown_path(path)
                                                                   : "a file whose name holds one";
    }
    // Copies of .env, where it is known to be, must not keep others from being told.
    const bool is_env =
        domain::is_env_file({.place = ImageFinding::Place::file, .where = last_shown_});
    Count& count = counts_[is_env ? 1 : 0];
    std::size_t& times = count.of_secret[secret];
    if (times == k_most_files || count.all == k_most_found) {
      return;
    }
    if (files_.insert({.secret = spec_.sought.name(secret), .path = last_shown_}).second) {
      ++times;
      ++count.all;
    }
  }

  struct Count {
    std::size_t all = 0;
    std::map<std::size_t, std::size_t> of_secret;  ///< By its number.
  };

  const JobContext& job_;
  const ImageSearchSpec& spec_;
  std::optional<domain::SecretScanner> scanner_;
  std::optional<TarNames> names_;
  std::unique_ptr<Unpacker> unpacker_;
  std::set<FoundFile> files_;
  std::array<Count, 2> counts_;  ///< Of all files but `.env`, and of those.
  std::optional<std::string> last_path_;
  std::string last_shown_;
  std::uint64_t bytes_ = 0;
  std::uint64_t told_ = 0;
  std::optional<Error> failed_;
};

/// What the image says of itself.
class ConfigSearch {
 public:
  ConfigSearch(const domain::SoughtSecrets& sought, std::vector<Found>& findings)
      : sought_(sought), findings_(findings) {}

  void search(const json& config, const std::vector<HistoryEntry>& history,
              const std::string& config_text, const std::string& manifest_text) {
    const auto own = config.find("config");
    if (own != config.end() && own->is_object()) {
      search_environment(*own);
      search_labels(*own);
    }
    // An ARG stands in every RUN behind it as well: the first entry tells.
    std::set<std::size_t> in_history;
    for (std::size_t i = 0; i < history.size(); ++i) {
      add(history[i].created_by, {.finding = {.place = Place::history}, .entry = i}, in_history);
    }
    known_.merge(in_history);
    add(config_text, {.finding = {.place = Place::configuration}}, known_);
    add(manifest_text, {.finding = {.place = Place::configuration}}, known_);
  }

 private:
  void search_environment(const json& own) {
    const auto list = own.find("Env");
    if (list == own.end() || !list->is_array()) {
      return;
    }
    for (const json& entry : *list) {
      if (entry.is_string()) {
        const auto& text = entry.get_ref<const std::string&>();
        add(text,
            {.finding = {.place = Place::environment,
                         .where = printable_line(text.substr(0, text.find('=')), k_shown_path)}});
      }
    }
  }

  void search_labels(const json& own) {
    const auto labels = own.find("Labels");
    if (labels == own.end() || !labels->is_object()) {
      return;
    }
    for (const auto& [name, value] : labels->items()) {
      if (value.is_string()) {
        add(value.get_ref<const std::string&>(),
            {.finding = {.place = Place::label, .where = printable_line(name, k_shown_path)}});
      }
    }
  }

  /// What `known` does not hold yet.
  void add(std::string_view text, const Found& found, std::set<std::size_t>& known) {
    for (const std::size_t secret : domain::secrets_in(sought_, text)) {
      if (known.insert(secret).second) {
        findings_.push_back(found);
        findings_.back().finding.secret = sought_.name(secret);
      }
    }
  }

  /// Whatever is known.
  void add(std::string_view text, const Found& found) {
    std::set<std::size_t> here;
    add(text, found, here);
    known_.merge(here);
  }

  const domain::SoughtSecrets& sought_;
  std::vector<Found>& findings_;
  std::set<std::size_t> known_;  ///< Found somewhere.
};

class RegistrySearch final : public ports::ImageSearch {
 public:
  explicit RegistrySearch(oci::Client& client) : client_(client) {}

  Result<ImageSearchReport> search(const JobContext& job, const ImageSearchSpec& spec) override {
    const oci::Reference reference{.host = spec.image.repository.host(),
                                   .repository = spec.image.repository.path(),
                                   .tag = {},
                                   .digest = spec.image.digest};
    BUILDER_TRY_ASSIGN(const std::vector<oci::Image> images, client_.images(job, reference));
    ImageSearchReport report;
    for (const oci::Image& image : images) {
      BUILDER_TRY(search_image(job, reference, image, spec, report));
    }
    return report;
  }

 private:
  /// One of an index adds to the report what the others do not have.
  Result<> search_image(const JobContext& job, const oci::Reference& reference,
                        const oci::Image& image, const ImageSearchSpec& spec,
                        ImageSearchReport& report) {
    const json config = parse_json(image.config);
    if (!config.is_object()) {
      return failure(ErrorKind::internal, reference.str() + " has no readable configuration");
    }
    const std::vector<Layer> layers = layers_of(parse_json(image.manifest.bytes));
    const std::vector<HistoryEntry> history = history_of(config);
    report.layers = std::max(report.layers, layers.size());
    std::vector<Found> findings;
    ConfigSearch(spec.sought, findings).search(config, history, image.config, image.manifest.bytes);
    if (layers.size() > k_most_layers) {
      report.not_searched.push_back(fmt::format("{} layers are too many", layers.size()));
    }
    for (std::size_t i = layers.size() > k_most_layers ? 0 : layers.size(); i > 0; --i) {
      const Layer& layer = layers[i - 1];
      if (const auto known = spec.known.find(layer.digest); known != spec.known.end()) {
        report.found.insert(*known);
      } else if (!report.found.contains(layer.digest)) {
        if (auto searched = search_layer(job, reference, layer, spec, report); !searched) {
          if (searched.error().kind == ErrorKind::cancelled) {
            return std::unexpected(std::move(searched).error());
          }
          if (searched.error().kind == ErrorKind::timed_out) {
            report.unreached.push_back(layer.digest);
          }
          report.not_searched.push_back(
              fmt::format("layer {} of {}: {}", i, layers.size(), searched.error().message));
        }
      }
    }
    add_of_layers(layers, history, report, findings);
    for (domain::ImageFinding& finding : placed(std::move(findings), history, spec)) {
      if (std::ranges::find(report.findings, finding) == report.findings.end()) {
        report.findings.push_back(std::move(finding));
      }
    }
    return {};
  }

  Result<> search_layer(const JobContext& job, const oci::Reference& reference, const Layer& layer,
                        const ImageSearchSpec& spec, ImageSearchReport& report) {
    if (layer.lies_elsewhere) {
      return failure(ErrorKind::invalid_input, "it lies outside of the registry");
    }
    if (Clock::now() >= job.deadline) {
      return failure(ErrorKind::timed_out, "the time is over");
    }
    LayerSearch search(job, spec);
    auto fetched =
        client_.stream_blob(job, reference, layer.digest,
                            {.begin = [&] { search.begin(); },
                             .take = [&](std::string_view b) { return search.feed(b); }});
    report.bytes += search.bytes();
    if (!fetched) {
      return search.failed() ? std::unexpected(*search.failed()) : std::move(fetched);
    }
    BUILDER_TRY(search.finish());
    report.found[layer.digest] = search.files();
    return {};
  }

  static void add_of_layers(const std::vector<Layer>& layers,
                            const std::vector<HistoryEntry>& history,
                            const ImageSearchReport& report, std::vector<Found>& findings) {
    std::vector<std::size_t> makers;
    for (std::size_t i = 0; i < history.size(); ++i) {
      if (history[i].has_layer) {
        makers.push_back(i);
      }
    }
    const bool are_known = makers.size() == layers.size();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto found = report.found.find(layers[i].digest);
      if (found == report.found.end()) {
        continue;
      }
      for (const FoundFile& file : found->second) {
        findings.push_back({.finding = {.place = Place::file,
                                        .secret = file.secret,
                                        .where = file.path,
                                        .layer = i + 1},
                            .entry = are_known ? std::optional(makers[i]) : std::nullopt});
      }
    }
  }

  /// With the lines of the Dockerfile.
  static std::vector<ImageFinding> placed(std::vector<Found> findings,
                                          const std::vector<HistoryEntry>& history,
                                          const ImageSearchSpec& spec) {
    std::vector<ImageFinding> done;
    if (findings.empty()) {
      return done;
    }
    std::vector<std::string> created_by;
    for (const HistoryEntry& entry : history) {
      created_by.push_back(entry.created_by);
    }
    const std::vector<std::size_t> lines = lines_of_history(spec.dockerfile(), created_by);
    for (Found& found : findings) {
      if (found.entry) {
        found.finding.line = lines[*found.entry];
        found.finding.made_by = shown_origin(created_by[*found.entry]);
      }
      // What stands behind the keyword is the secret itself, or holds one that may be cut.
      if (found.finding.place == Place::history ||
          (found.entry && !domain::secrets_in(spec.sought, created_by[*found.entry]).empty())) {
        found.finding.made_by.resize(
            std::min(found.finding.made_by.find(' '), found.finding.made_by.size()));
      }
      done.push_back(std::move(found.finding));
    }
    return done;
  }

  oci::Client& client_;
};

}  // namespace

std::unique_ptr<ports::ImageSearch> make_image_search(oci::Client& client) {
  return std::make_unique<RegistrySearch>(client);
}

}  // namespace builder::adapters::image_search
