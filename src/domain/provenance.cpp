#include "domain/provenance.hpp"

#include "base/iso_time.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace builder::domain {

namespace {

using nlohmann::json;

constexpr std::string_view k_statement_type = "https://in-toto.io/Statement/v1";
constexpr std::string_view k_build_types =
    "https://github.com/deployra/deployra-builder/blob/main/docs/provenance.md#";

std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json digest_set(std::string_view digest) {
  const auto colon = digest.find(':');
  return {{std::string(digest.substr(0, colon)), std::string(digest.substr(colon + 1))}};
}

/// `docker.io/library/node:22` -> `pkg:docker/node@22`, as BuildKit has it.
/// https://github.com/package-url/purl-spec/blob/main/types-doc/docker-definition.md
std::string package_url(std::string_view image) {
  image = familiar_name(image);
  std::string name(image.substr(0, image.find('@')));
  const auto colon = name.rfind(':');
  if (colon != std::string::npos && name.find('/', colon) == std::string::npos) {
    name[colon] = '@';
  }
  return "pkg:docker/" + name;
}

void add_unless_empty(json& object, const char* name, const json& value) {
  if (!value.empty() && value != "") {
    object[name] = value;
  }
}

json parameters(const MadeFromDockerfile& made) {
  json all{{"dockerfile", made.dockerfile}};
  add_unless_empty(all, "target", made.target);
  add_unless_empty(all, "platform", made.platform);
  add_unless_empty(all, "arguments", made.arguments);
  add_unless_empty(all, "variables", made.variables);
  return all;
}

json parameters(const MadeWithBuildpacks& made) {
  json all{{"builder", made.builder}};
  add_unless_empty(all, "platform", made.platform);
  add_unless_empty(all, "variables", made.variables);
  return all;
}

}  // namespace

std::string provenance_statement(const Provenance& made) {
  const auto* const buildpacks = std::get_if<MadeWithBuildpacks>(&made.way);
  json external = std::visit([](const auto& way) { return parameters(way); }, made.way);
  json source{{"repository", made.source}, {"commit", made.commit}};
  add_unless_empty(source, "branch", made.branch);
  external["source"] = std::move(source);

  const std::string at = made.branch.empty() ? "" : "@refs/heads/" + made.branch;
  json dependencies =
      json::array({{{"uri", "git+" + made.source + at}, {"digest", {{"gitCommit", made.commit}}}}});
  for (const BaseImage& base : made.bases) {
    json dependency{{"uri", package_url(base.name)}};
    if (!base.digest.empty()) {
      dependency["digest"] = digest_set(base.digest);
    }
    dependencies.push_back(std::move(dependency));
  }
  json internal{{"allBaseImages", made.has_all_bases}};
  if (made.downloads) {
    for (const Download& file : made.downloads->files) {
      dependencies.push_back({{"uri", file.url}, {"digest", digest_set(file.digest)}});
    }
    internal["downloads"] = made.downloads->are_all ? "complete" : "partial";
  }
  if (buildpacks != nullptr) {
    add_unless_empty(internal, "buildpacks", buildpacks->buildpacks);
  }

  return text_of(
      {{"_type", k_statement_type},
       {"subject", {{{"name", made.image}, {"digest", digest_set(made.digest)}}}},
       {"predicateType", k_provenance_type},
       {"predicate",
        {{"buildDefinition",
          {{"buildType", std::string(k_build_types) +
                             (buildpacks != nullptr ? "buildpacks-v1" : "dockerfile-v1")},
           {"externalParameters", std::move(external)},
           {"internalParameters", std::move(internal)},
           {"resolvedDependencies", std::move(dependencies)}}},
         {"runDetails",
          {{"builder",
            {{"id", made.builder_id}, {"version", {{"deployra-builder", made.builder_version}}}}},
           {"metadata",
            {{"invocationId", made.deployment},
             {"startedOn", iso_time(made.started_at)},
             {"finishedOn", iso_time(made.finished_at)}}}}}}}});
}

std::string signature_statement(std::string_view digest) {
  return text_of({{"_type", k_statement_type},
                  {"subject", {{{"digest", digest_set(digest)}}}},
                  {"predicateType", k_image_signature_type},
                  {"predicate", json::object()}});
}

}  // namespace builder::domain
