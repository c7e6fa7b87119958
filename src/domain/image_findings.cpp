#include "domain/image_findings.hpp"

#include "base/json.hpp"
#include "base/text.hpp"
#include "domain/request_secrets.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <utility>

namespace builder::domain {

namespace {

using nlohmann::json;

constexpr std::size_t k_shown_where = 80;
constexpr std::size_t k_shown_names = 5;
constexpr std::size_t k_largest_note = std::size_t{256} * 1024;
constexpr std::size_t k_most_layers = 512;
constexpr std::size_t k_most_files = 1024;
constexpr std::size_t k_most_clean = 20;

std::string origin(const ImageFinding& finding) {
  if (finding.line == 0) {
    return finding.made_by;
  }
  return fmt::format("line {} of the Dockerfile{}{}", finding.line,
                     finding.made_by.empty() ? "" : ": ", finding.made_by);
}

std::string place(const ImageFinding& finding, std::size_t layers) {
  const std::string where = truncate_characters(finding.where, k_shown_where);
  switch (finding.place) {
    case ImageFinding::Place::file:
      return fmt::format("in {}, layer {} of {}", where.empty() ? "what lies between files" : where,
                         finding.layer, layers);
    case ImageFinding::Place::environment:
      return "in the image's variable " + where;
    case ImageFinding::Place::label:
      return "in the image's label " + where;
    case ImageFinding::Place::history:
      return "in the image's history";
    case ImageFinding::Place::configuration:
      break;
  }
  return "in the image's configuration";
}

std::vector<std::string> digests_of(const json& value, const char* name) {
  std::vector<std::string> digests;
  const auto found = value.find(name);
  if (found != value.end() && found->is_array() && found->size() <= k_most_layers) {
    for (const json& digest : *found) {
      if (digest.is_string() && is_digest(digest.get_ref<const std::string&>())) {
        digests.push_back(digest.get<std::string>());
      }
    }
  }
  return digests;
}

}  // namespace

bool is_env_file(const ImageFinding& finding) {
  return finding.place == ImageFinding::Place::file &&
         (finding.where == "/.env" || finding.where.ends_with("/.env"));
}

std::string finding_text(const ImageFinding& finding, std::size_t layers) {
  const std::string from = origin(finding);
  return finding.secret + " " + place(finding, layers) + (from.empty() ? "" : " (" + from + ")");
}

std::vector<std::string> warning_lines(const std::vector<ImageFinding>& findings,
                                       std::size_t layers) {
  constexpr std::size_t k_lines = 20;

  struct Places {
    const ImageFinding* first;
    std::size_t more = 0;
  };

  std::vector<Places> secrets;
  for (const ImageFinding& finding : findings) {
    const auto known = std::ranges::find(secrets, finding.secret,
                                         [](const Places& places) { return places.first->secret; });
    if (known == secrets.end()) {
      secrets.push_back({.first = &finding});
    } else {
      ++known->more;
    }
  }
  std::vector<std::string> lines;
  std::vector<std::string> others;
  for (const auto& [first, more] : secrets) {
    if (lines.size() == k_lines) {
      others.push_back(first->secret);
      continue;
    }
    lines.push_back("Secret in the image: " + finding_text(*first, layers));
    if (more > 0) {
      lines.back() += fmt::format(", and in {} more place{}", more, more == 1 ? "" : "s");
    }
  }
  if (!others.empty()) {
    lines.push_back(fmt::format("Secrets in the image as well: {}", fmt::join(others, ", ")));
  }
  return lines;
}

std::string env_file_text(const std::vector<ImageFinding>& findings) {
  std::set<std::string> names;
  for (const ImageFinding& finding : findings) {
    names.insert(finding.secret.starts_with(k_of_variable)
                     ? finding.secret.substr(k_of_variable.size())
                     : finding.secret);
  }
  std::vector<std::string> shown;
  for (const std::string& name : names) {
    if (shown.size() < k_shown_names) {
      shown.push_back(name);
    }
  }
  const std::string where =
      findings.empty() ? ".env" : truncate_characters(findings.front().where, k_shown_where);
  return fmt::format(
      "The image holds {} with secrets ({}{}): who has the image can read them. To keep them out, "
      "list .env in .dockerignore; a build step gets one with RUN --mount=type=secret,id=NAME",
      where, fmt::join(shown, ", "), names.size() > shown.size() ? ", …" : "");
}

LayerNote read_layer_note(std::string_view text) {
  const json value = text.size() > k_largest_note ? json() : parse_json(text);
  if (!value.is_object()) {
    return {};
  }
  LayerNote note{.sought = text_of(value, "sought")};
  const auto told = value.find("told_of_env_file");
  note.told_of_env_file = told != value.end() && told->is_boolean() && told->get<bool>();
  const std::vector<std::string> given_up = digests_of(value, "given_up");
  note.given_up.insert(given_up.begin(), given_up.end());
  note.clean = digests_of(value, "clean");
  const auto layers = value.find("layers");
  if (layers == value.end() || !layers->is_object() || layers->size() > k_most_layers) {
    return note;
  }
  for (const auto& [digest, found] : layers->items()) {
    if (!is_digest(digest) || !found.is_array() || found.size() > k_most_files) {
      continue;
    }
    std::vector<FoundFile>& files = note.layers[digest];
    for (const json& file : found) {
      if (file.is_object()) {
        files.push_back({.secret = printable_line(text_of(file, "secret")),
                         .path = printable_line(text_of(file, "path"))});
      }
    }
  }
  return note;
}

void add_clean(LayerNote& note, const std::string& digest) {
  std::erase(note.clean, digest);
  note.clean.insert(note.clean.begin(), digest);
  note.clean.resize(std::min(note.clean.size(), k_most_clean));
}

std::string write_layer_note(const LayerNote& note) {
  json layers = json::object();
  for (const auto& [digest, found] : note.layers) {
    json files = json::array();
    for (const FoundFile& file : found) {
      files.push_back({{"secret", file.secret}, {"path", file.path}});
    }
    layers[digest] = std::move(files);
  }
  const json value{{"sought", note.sought},
                   {"told_of_env_file", note.told_of_env_file},
                   {"given_up", note.given_up},
                   {"clean", note.clean},
                   {"layers", std::move(layers)}};
  const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  return text.size() > k_largest_note ? std::string() : text;
}

}  // namespace builder::domain
