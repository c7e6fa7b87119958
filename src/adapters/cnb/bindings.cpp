#include "adapters/cnb/bindings.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

namespace builder::adapters::cnb {

namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t k_longest_value = 64 * 1024;
constexpr std::size_t k_most_values = 200;

/// Stands in a path and in a mount's options.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= 100 && name != "." && name != ".." &&
         std::ranges::all_of(name, [](unsigned char c) {
           return c < 0x80 && (std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-');
         });
}

std::unexpected<Error> bad(const fs::path& path, std::string_view why) {
  return failure(ErrorKind::invalid_input, path.string() + ": " + std::string(why));
}

Result<std::vector<fs::path>> sorted_entries(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    // Kubernetes keeps the versions of a mounted secret in `..data` and the like.
    if (!entry->path().filename().string().starts_with("..")) {
      entries.push_back(entry->path());
    }
  }
  if (error) {
    return bad(folder, error.message());
  }
  std::ranges::sort(entries);
  return entries;
}

Result<BindingValue> read_value(const fs::path& file, const std::string& binding) {
  const std::string key = file.filename().string();
  std::error_code error;
  const auto size = fs::file_size(file, error);
  if (error || !fs::is_regular_file(file) || size > k_longest_value || !is_name(key)) {
    return bad(file,
               "must be a file of at most 64 KiB whose name has letters, digits, '.', '_' and '-'");
  }
  std::ifstream in(file, std::ios::binary);
  std::string content{std::istreambuf_iterator<char>(in), {}};
  if (!in.good() && !in.eof()) {
    return bad(file, "cannot be read");
  }
  return BindingValue{.binding = binding, .key = key, .value = Secret(std::move(content))};
}

}  // namespace

Result<std::vector<BindingValue>> read_bindings(const std::string& folder) {
  std::vector<BindingValue> values;
  if (folder.empty()) {
    return values;
  }
  BUILDER_TRY_ASSIGN(const auto bindings, sorted_entries(folder));
  for (const fs::path& binding : bindings) {
    const std::string name = binding.filename().string();
    std::error_code error;
    if (!fs::is_directory(binding, error) || !is_name(name)) {
      return bad(binding, "must be a folder whose name has letters, digits, '.', '_' and '-'");
    }
    BUILDER_TRY_ASSIGN(const auto files, sorted_entries(binding));
    bool has_type = false;
    for (const fs::path& file : files) {
      BUILDER_TRY_ASSIGN(BindingValue value, read_value(file, name));
      has_type = has_type || value.key == "type";
      values.push_back(std::move(value));
    }
    if (!has_type) {
      return bad(binding, "has no file 'type'");
    }
  }
  if (values.size() > k_most_values) {
    return bad(folder, "holds more than 200 files");
  }
  return values;
}

std::vector<BindingValue> mirror_binding(const Secret& address) {
  if (address.empty()) {
    return {};
  }
  constexpr const char* k_name = "deployra-dependency-mirror";
  return {{.binding = k_name, .key = "type", .value = Secret("dependency-mirror")},
          {.binding = k_name, .key = "default", .value = address}};
}

}  // namespace builder::adapters::cnb
