#pragma once

#include "domain/buildpacks/builder_image.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::domain::buildpacks {

/// One file of a service binding, given to the build by a secret mount.
struct BindingFile {
  std::string binding;  ///< The binding's name.
  std::string key;
  std::string secret_id;
};

/// What a solve needs to be told to make an image with buildpacks.
struct BuildFileSpec {
  std::string builder;    ///< By digest.
  std::string image;      ///< What is made: `host/path:tag`.
  std::string lifecycle;  ///< Of an untrusted builder: the image its lifecycle is taken from.
  bool trusted = true;
  std::uint32_t user_id = 0;
  std::uint32_t group_id = 0;
  /// The image goes into the Docker Engine whose socket the session has as `k_engine_socket`.
  bool to_engine = false;
  bool empty_cache = false;           ///< Nothing that earlier builds left in the cache is there.
  std::vector<BindingFile> bindings;  ///< Of trusted builders.
};

inline constexpr std::string_view k_engine_socket = "cnb-engine";

/// The Dockerfile that runs a lifecycle on BuildKit. The parts of the spec are of a checked form
/// (references, numbers, names); what else a build needs travels as build arguments (see
/// `build_arguments`). No shell reads any of it as text.
///
/// The context holds `app/`, `platform/env/`, `cnb/project-metadata.toml`, and `cnb/create` (see
/// `create_script`) or, for an untrusted builder, `cnb/run.toml` and `cnb/stack.toml`.
///
/// Trusted: one step as root, which gives up its rights itself before a buildpack runs; the result
/// is `exit-code`, `report.toml` and `group.toml`. Untrusted: one step per phase; those that run
/// the builder's own programs get no registry login, and a failure ends the solve.
///
/// The cache has one name for all services: the solve has to come with a namespace of its own.
std::string write_build_file(const BuildFileSpec& spec);

/// `cnb/create`, the one step of a trusted builder: run the creator, keep its exit code
/// and its result, and leave nothing else behind.
std::string_view create_script();

struct BuildArguments {
  ApiVersion platform_api;
  std::string nonce;           ///< Another one for every attempt: forces the steps to run.
  std::string previous_image;  ///< By digest; empty: none.
  std::string run_image;       ///< Empty: the builder's own choice.
  /// When the image was made, as it shall say; nullopt: the lifecycle's constant, 1980.
  std::optional<std::chrono::sys_seconds> epoch = {};
  bool skip_restore = false;
};

/// By the names the lifecycle reads in its environment.
std::map<std::string, std::string> build_arguments(const BuildArguments& arguments);

/// The `run.toml` and `stack.toml` of a lifecycle image, which has none: so that the image's labels
/// name its run image.
std::string write_run_toml(const std::string& run_image);
std::string write_stack_toml(const std::string& run_image);

/// `project-metadata.toml`: where the source came from.
std::string write_project_metadata(const std::string& repository, const std::string& commit);

}  // namespace builder::domain::buildpacks
