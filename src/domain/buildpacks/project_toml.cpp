#include "domain/buildpacks/project_toml.hpp"

#include "domain/base_image.hpp"
#include "domain/buildpacks/toml.hpp"
#include "domain/customer_line.hpp"

#include <fmt/format.h>

#include <utility>

namespace builder::domain::buildpacks {

namespace {

constexpr std::size_t k_most_entries = 1000;
constexpr std::size_t k_longest_pattern = 4096;  // As a path.

std::unexpected<Error> bad_project(std::string_view what) {
  const std::string line = fmt::format("project.toml: {}", what);
  return std::unexpected(
      Error{.kind = ErrorKind::invalid_input, .message = line, .customer = customer_line(line)});
}

Result<std::vector<std::string>> strings_of(const toml::table& table, std::string_view name) {
  std::vector<std::string> strings;
  const toml::node* node = table.get(name);
  if (node == nullptr) {
    return strings;
  }
  const toml::array* array = node->as_array();
  if (array == nullptr || array->size() > k_most_entries) {
    return bad_project(
        fmt::format("\"{}\" must be a list of at most {} texts", name, k_most_entries));
  }
  for (const toml::node& entry : *array) {
    const auto* text = entry.as_string();
    if (text == nullptr || text->get().size() > k_longest_pattern) {
      return bad_project(fmt::format("\"{}\" must be a list of texts of at most {} bytes", name,
                                     k_longest_pattern));
    }
    strings.push_back(text->get());
  }
  return strings;
}

Result<std::vector<EnvironmentVariable>> environment_of(const toml::array& list) {
  std::vector<EnvironmentVariable> environment;
  if (list.size() > k_most_entries) {
    return bad_project(fmt::format("at most {} build variables are taken", k_most_entries));
  }
  for (const toml::node& entry : list) {
    const toml::table* table = entry.as_table();
    const auto* name = table == nullptr ? nullptr : table->get_as<std::string>("name");
    const auto* value = table == nullptr ? nullptr : table->get_as<std::string>("value");
    if (name == nullptr || value == nullptr) {
      return bad_project("every build variable needs a \"name\" and a \"value\" in quotes");
    }
    environment.push_back({.key = name->get(), .value = value->get()});
  }
  return environment;
}

/// 0.1 has everything below [build], later schemas below [io.buildpacks].
struct Section {
  const toml::table* table = nullptr;
  const toml::node* environment = nullptr;
  const toml::node* groups = nullptr;
  bool has_pre_or_post = false;
};

Section section_of(const toml::table& root) {
  Section section;
  if (const auto* io = root["io"]["buildpacks"].as_table()) {
    section.table = io;
    section.groups = io->get("group");
    section.environment = root["io"]["buildpacks"]["build"]["env"].node();
    section.has_pre_or_post = io->contains("pre") || io->contains("post");
  } else if (const auto* build = root["build"].as_table()) {
    section.table = build;
    section.groups = build->get("buildpacks");
    section.environment = build->get("env");
  }
  return section;
}

Result<ProjectDescriptor> read(const toml::table& root) {
  ProjectDescriptor project;
  const Section section = section_of(root);
  if (section.table == nullptr) {
    return project;
  }
  const auto* groups = section.groups == nullptr ? nullptr : section.groups->as_array();
  if (section.has_pre_or_post || (groups != nullptr && !groups->empty())) {
    return bad_project(
        "choosing buildpacks (group, pre, post, inline scripts, uri) is not supported; remove "
        "them, "
        "or add a Dockerfile");
  }
  BUILDER_TRY_ASSIGN(project.include, strings_of(*section.table, "include"));
  BUILDER_TRY_ASSIGN(project.exclude, strings_of(*section.table, "exclude"));
  if (!project.include.empty() && !project.exclude.empty()) {
    project.warnings.emplace_back(
        "project.toml has both \"include\" and \"exclude\"; \"include\" is ignored");
    project.include.clear();
  }
  if (section.environment != nullptr) {
    const auto* list = section.environment->as_array();
    if (list == nullptr) {
      return bad_project("build variables are a list: [[io.buildpacks.build.env]]");
    }
    BUILDER_TRY_ASSIGN(project.environment, environment_of(*list));
  }
  if (const auto* node = section.table->get("builder")) {
    const auto* text = node->as_string();
    if (text == nullptr || text->get().size() > k_longest_reference) {
      return bad_project("\"builder\" must be an image name in quotes");
    }
    project.builder = text->get();
  }
  return project;
}

}  // namespace

Result<ProjectDescriptor> read_project_toml(std::string_view content) {
  const auto parsed = parse_toml(content);
  return parsed ? read(*parsed) : bad_project(parsed.error().message);
}

}  // namespace builder::domain::buildpacks
