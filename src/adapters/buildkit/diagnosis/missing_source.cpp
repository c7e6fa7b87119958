#include "adapters/buildkit/diagnosis/missing_source.hpp"

#include "base/text.hpp"
#include "domain/dockerignore.hpp"
#include "domain/patterns.hpp"
#include "ports/source_path.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

namespace builder::adapters::buildkit {

namespace {

constexpr std::size_t k_ignore_limit = std::size_t{1} << 20U;
constexpr std::size_t k_script_limit = std::size_t{1} << 20U;
constexpr std::size_t k_shown_source = 60;
constexpr std::string_view k_ignore_file = ".dockerignore";

/// As the engine resolves a source: from the context's root, which ".." does not leave.
std::string in_context(std::string_view source) {
  const std::string path = domain::clean_path("/" + std::string(source)).substr(1);
  return path == "." ? "" : path;
}

bool is_pattern(std::string_view source) {
  return source.find_first_of("*?[\\") != std::string_view::npos;
}

bool same_but_case(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right, [](unsigned char a, unsigned char b) {
    return std::tolower(a) == std::tolower(b);
  });
}

/// A pattern that matches exactly this text.
std::string literal_pattern(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c == '['    ? "[[]"
           : c == '*'  ? "[*]"
           : c == '?'  ? "[?]"
           : c == '\\' ? "\\\\"
                       : std::string(1, c);
  }
  return out;
}

std::string quoted(std::string_view text) {
  return "\"" + truncate_characters(printable_columns(text), k_shown_source) + "\"";
}

struct IgnoreFile {
  std::string name;
  bool is_default = false;
  std::string text;
};

/// The one that counts, as the frontend chooses it.
std::optional<IgnoreFile> ignore_file_of(const ports::SourceTree& tree,
                                         const std::string& dockerfile) {
  for (std::string name : {dockerfile + std::string(k_ignore_file), std::string(k_ignore_file)}) {
    if (auto text = ports::read_file(tree, name, k_ignore_limit)) {
      const bool is_default = name == k_ignore_file && *text == domain::default_dockerignore();
      return IgnoreFile{
          .name = std::move(name), .is_default = is_default, .text = *std::move(text)};
    }
  }
  return std::nullopt;
}

}  // namespace

// A link on the way is followed.
bool ContextView::exists(std::string_view path) const {
  return tree_.stat(path).has_value() || tree_.open(path).has_value() ||
         tree_.list(path).has_value();
}

bool ContextView::has(std::string_view source) const {
  const std::string path = in_context(source);
  if (is_pattern(source)) {
    if (source.contains('[') && exists(path)) {
      return false;  // Meant as a name.
    }
    // What an optional file is written as; the folder has to be there all the same.
    const std::string plain = path.substr(0, path.find_first_of("*?[\\"));
    const std::size_t slash = plain.rfind('/');
    return slash == std::string::npos || exists(plain.substr(0, slash));
  }
  return exists(path) && hidden_by(path).empty();
}

std::string ContextView::hidden_by(std::string_view path) const {
  const auto file = ignore_file_of(tree_, dockerfile_);
  if (!file) {
    return {};
  }
  domain::IgnoreFile lines(file->text);
  const auto* line = lines.hides(path);
  if (line == nullptr) {
    return {};
  }
  if (file->is_default) {
    return fmt::format(
        "left out by the platform's default ignore file; a .dockerignore of your own replaces it");
  }
  return fmt::format("left out by {}:{} (\"{}\")",
                     truncate_characters(printable_columns(file->name), 40), line->number,
                     truncate_characters(printable_columns(line->text), 30));
}

/// Of a pattern in the last part of the path: why what it matches is not in the context.
std::string ContextView::matches_hidden_by(const std::string& path) const {
  const std::string_view folder = ports::folder_of(path);
  domain::Glob name(ports::name_of(path));
  domain::MatchingBudget budget;
  if (const auto entries = tree_.list(folder)) {
    for (const ports::DirectoryEntry& entry : *entries) {
      if (name.matches(entry.name, budget)) {
        return hidden_by(ports::path_in(folder, entry.name));
      }
    }
  }
  return {};
}

/// The path with the case of what is there; empty when that is not there either.
std::string ContextView::in_other_case(std::string_view path) const {
  std::string found;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, end);
    path.remove_prefix(std::min(end + 1, path.size()));
    const auto entries = tree_.list(found);
    if (!entries) {
      return {};
    }
    const auto is_exact = [part](const auto& entry) { return entry.name == part; };
    auto entry = std::ranges::find_if(*entries, is_exact);
    if (entry == entries->end()) {
      entry = std::ranges::find_if(
          *entries, [part](const auto& each) { return same_but_case(each.name, part); });
    }
    if (entry == entries->end()) {
      return {};
    }
    found += (found.empty() ? "" : "/") + entry->name;
  }
  return found;
}

std::string ContextView::why_missing(std::string_view source) const {
  const std::string path = in_context(source);
  const std::string shown = quoted(source);
  if (path == ".git" || path.starts_with(".git/")) {
    return shown +
           " is never in the build here: a clone's .git is not part of the source; commit what the "
           "build needs of it (a version) as a file";
  }
  if (source.starts_with("../")) {
    return shown + " lies outside the repository; COPY and ADD take files below its root only";
  }
  if (source.size() > 2 && source[1] == ':' && (source[2] == '\\' || source[2] == '/')) {
    return shown + " is a path of your own machine; write it from the repository's root";
  }
  if (is_pattern(source) && exists(path)) {
    return fmt::format("{} is there, but [ ] * ? \\ make a pattern here; write {}", shown,
                       truncate_characters(literal_pattern(source), k_shown_source));
  }
  if (is_pattern(source)) {
    if (const std::string why = matches_hidden_by(path); !why.empty()) {
      return shown + " is " + why;
    }
  }
  if (exists(path)) {
    if (const std::string why = hidden_by(path); !why.empty()) {
      return shown + " is " + why;
    }
    return shown + " not found in the repository, or excluded by .dockerignore";
  }
  if (path == ".env") {
    return "\".env\" is not in the repository, and the platform writes it only when the service "
           "has "
           "variables";
  }
  if (const std::string_view folder = ports::folder_of(dockerfile_); !folder.empty()) {
    if (const std::string beside = ports::path_in(folder, path); exists(beside)) {
      return fmt::format("{} not found: paths count from the repository's root, and it is at {}",
                         shown, truncate_characters(printable_columns(beside), k_shown_source));
    }
  }
  if (const std::string other = in_other_case(path); !other.empty()) {
    return fmt::format("{} not found in the repository; did you mean {}? (case counts)", shown,
                       quoted(other));
  }
  for (std::size_t at = path.rfind('/'); at != std::string::npos && at > 0;
       at = path.rfind('/', at - 1)) {
    const auto parent = tree_.stat(path.substr(0, at));
    if (parent && parent->type == ports::FileType::regular) {
      return fmt::format("{} not found: {} is a file", shown, quoted(path.substr(0, at)));
    }
  }
  if (source.starts_with("/home/") || source.starts_with("/Users/") ||
      source.starts_with("/root/")) {
    return shown + " is a path of another machine; write it from the repository's root";
  }
  return shown + " not found in the repository";
}

/// The file of the repository that has probably become this path of the image: the longest tail of
/// it that is there.
std::string ContextView::found_for(std::string_view path_in_image) const {
  std::string tail = domain::clean_path("/" + std::string(path_in_image)).substr(1);
  for (;;) {
    for (const std::string& path : {tail, ports::path_in(ports::folder_of(dockerfile_), tail)}) {
      if (const auto info = tree_.stat(path);
          info && info->type == ports::FileType::regular && info->size <= k_script_limit) {
        return path;
      }
    }
    const std::size_t next = tail.find('/');
    if (next == std::string::npos) {
      break;
    }
    tail.erase(0, next + 1);
  }
  // Somewhere below: the only file of that name in the folders near the root.
  std::vector<std::string> found;
  std::vector<std::string> folders{""};
  constexpr std::size_t k_folders = 500;
  for (std::size_t i = 0; i < folders.size() && i < k_folders; ++i) {
    const auto entries = tree_.list(folders[i]);
    if (!entries) {
      continue;
    }
    for (const ports::DirectoryEntry& entry : *entries) {
      std::string path = folders[i];
      path += path.empty() ? "" : "/";
      path += entry.name;
      if (entry.info.type == ports::FileType::directory) {
        folders.push_back(std::move(path));
      } else if (entry.name == tail && entry.info.type == ports::FileType::regular) {
        found.push_back(std::move(path));
      }
    }
  }
  return found.size() == 1 ? found.front() : "";
}

std::string ContextView::why_not_started(std::string_view path_in_image, int code) const {
  constexpr int k_not_executable = 126;
  const std::string path = found_for(path_in_image);
  if (path.empty()) {
    return {};
  }
  const auto text = ports::read_file(tree_, path, k_script_limit);
  const auto info = tree_.stat(path);
  if (!text || !info) {
    return {};
  }
  const std::string shown = truncate_characters(printable_columns(path), 40);
  if (code == k_not_executable && (info->permissions & 0111U) == 0) {
    return fmt::format("{} is not executable in the repository (git update-index --chmod=+x)",
                       shown);
  }
  const std::string_view line = std::string_view(*text).substr(0, text->find('\n'));
  if (line.ends_with('\r') && (line.starts_with("#!") || path.ends_with(".sh"))) {
    return fmt::format("{} has Windows line ends (CRLF); save it with LF", shown);
  }
  if (text->starts_with("\xEF\xBB\xBF")) {
    return fmt::format("{} begins with a byte order mark; save it without", shown);
  }
  if (line.starts_with("#!")) {
    const std::size_t begin = std::min(line.find_first_not_of(' ', 2), line.size());
    std::string interpreter(line.substr(begin));
    return fmt::format("is {} of its first line in the image?",
                       truncate_characters(printable_columns(interpreter), 40));
  }
  return {};
}

}  // namespace builder::adapters::buildkit
