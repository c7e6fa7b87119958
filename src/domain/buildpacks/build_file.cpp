#include "domain/buildpacks/build_file.hpp"

#include <fmt/format.h>

namespace builder::domain::buildpacks {

namespace {

/// The registry login, as the configuration file of a docker client: the lifecycle reads it while
/// it is root, so it never is in an environment.
constexpr std::string_view k_login_mount =
    "--mount=type=secret,id=cnb-login,target=/run/cnb-login/config.json,required=true,mode=0400";

/// The lifecycle connects while it is root; the buildpacks' user may not.
constexpr std::string_view k_engine_mount =
    "--mount=type=ssh,id=cnb-engine,target=/run/cnb-engine/docker.sock,required=true,uid=0,gid=0,"
    "mode=0600";

/// Of images in an Engine: without these layers each build would have to read them back from it.
constexpr std::string_view k_launch_cache_mount =
    "--mount=type=cache,id=buildpacks-launch,target=/cnb-launch-cache,sharing=locked";

std::string engine_mounts(const BuildFileSpec& spec) {
  return spec.to_engine ? fmt::format(" {} {}", k_engine_mount, k_launch_cache_mount)
                        : std::string();
}

/// Every stage with a RUN names all arguments: they are not inherited everywhere, and BuildKit
/// compares what a stage copies: without the nonce an unchanged file would make the steps behind it
/// CACHED, the export included. Nothing of this environment reaches a buildpack.
std::string environment(const BuildFileSpec& spec) {
  return fmt::format(
      "ARG CNB_BUILD_NONCE\n"
      "ARG CNB_PLATFORM_API\n"
      "ARG CNB_PREVIOUS_IMAGE\n"
      "ARG CNB_RUN_IMAGE\n"
      "ARG CNB_SKIP_RESTORE\n"
      "ARG CNB_IMAGE_EPOCH\n"
      "ENV CNB_USER_ID={} CNB_GROUP_ID={} CNB_CACHE_DIR=/cnb-cache CNB_LOG_LEVEL=debug "
      "CNB_NO_COLOR=true CNB_DEPRECATION_MODE=quiet "
      "SOURCE_DATE_EPOCH=$CNB_IMAGE_EPOCH DOCKER_CONFIG=/run/cnb-login "
      "CNB_PROJECT_METADATA_PATH=/cnb-platform/project-metadata.toml "
      "CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_AMAZON=true CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_AZURE=true\n"
      "{}",
      spec.user_id, spec.group_id,
      spec.to_engine ? "ENV CNB_USE_DAEMON=true DOCKER_HOST=unix:///run/cnb-engine/docker.sock "
                       "CNB_LAUNCH_CACHE_DIR=/cnb-launch-cache\n"
                     : "");
}

constexpr std::string_view k_cache_mount =
    "--mount=type=cache,id=buildpacks,target=/cnb-cache,sharing=locked";

/// As root and by the builder's shell: whatever is in the cache, and whoever owns it, goes.
std::string emptying(const BuildFileSpec& spec) {
  return spec.empty_cache
             ? fmt::format(
                   "ARG CNB_BUILD_NONCE\n"
                   "RUN {} [\"/bin/sh\", \"-c\", \"rm -rf /cnb-cache/* /cnb-cache/.[!.]* "
                   "/cnb-cache/..?*; chmod 755 /cnb-cache\"]\n",
                   k_cache_mount)
             : std::string();
}

std::string binding_mounts(const BuildFileSpec& spec) {
  std::string mounts;
  for (const BindingFile& file : spec.bindings) {
    mounts += fmt::format(
        " --mount=type=secret,id={},target=/platform/bindings/{}/{},required=true,uid={},gid={},"
        "mode=0400",
        file.secret_id, file.binding, file.key, spec.user_id, spec.group_id);
  }
  return mounts;
}

std::string trusted_build_file(const BuildFileSpec& spec) {
  return fmt::format(
      "FROM {builder} AS cnb\n"
      "USER 0:0\n"
      "COPY --chown={user} app/ /workspace/\n"
      "COPY platform/ /platform/\n"
      "COPY cnb/ /cnb-platform/\n"
      "{emptying}"
      "{environment}"
      "RUN {cache} {login}{engine}{bindings} [\"/bin/sh\", \"/cnb-platform/create\", \"{image}\"]\n"
      "FROM scratch\n"
      "COPY --from=cnb /cnb-out/ /\n",
      fmt::arg("builder", spec.builder),
      fmt::arg("user", fmt::format("{}:{}", spec.user_id, spec.group_id)),
      fmt::arg("image", spec.image), fmt::arg("environment", environment(spec)),
      fmt::arg("cache", k_cache_mount), fmt::arg("emptying", emptying(spec)),
      fmt::arg("login", k_login_mount), fmt::arg("engine", engine_mounts(spec)),
      fmt::arg("bindings", binding_mounts(spec)));
}

/// A lifecycle image has no shell: every program is started as a list.
std::string untrusted_build_file(const BuildFileSpec& spec) {
  return fmt::format(
      "FROM {builder} AS source\n"
      "USER 0:0\n"
      "COPY --chown={user} app/ /workspace/\n"
      "COPY platform/ /platform/\n"
      "{emptying}"
      "FROM {lifecycle} AS lifecycle\n"
      "USER 0:0\n"
      "COPY cnb/run.toml cnb/stack.toml /cnb/\n"
      "COPY cnb/project-metadata.toml /cnb-platform/\n"
      "FROM lifecycle AS analyzed\n"
      "{environment}"
      "RUN {login}{engine} [\"/cnb/lifecycle/analyzer\", \"{image}\"]\n"
      "FROM source AS detected\n"
      "COPY --from=analyzed --chown={user} /layers/ /layers/\n"
      "USER {user}\n"
      "{environment}"
      "RUN [\"/cnb/lifecycle/detector\"]\n"
      "FROM lifecycle AS restored\n"
      "COPY --from=detected --chown={user} /layers/ /layers/\n"
      "{environment}"
      "RUN {cache} {login}{engine} [\"/cnb/lifecycle/restorer\"]\n"
      "FROM source AS built\n"
      "COPY --from=restored --chown={user} /layers/ /layers/\n"
      "USER {user}\n"
      "{environment}"
      "RUN [\"/cnb/lifecycle/builder\"]\n"
      "FROM lifecycle AS exported\n"
      "COPY --from=built --chown={user} /layers/ /layers/\n"
      "COPY --from=built --chown={user} /workspace/ /workspace/\n"
      "{environment}"
      "RUN {cache} {login}{engine} [\"/cnb/lifecycle/exporter\", \"{image}\"]\n"
      "FROM scratch\n"
      "COPY --from=exported /layers/report.toml /layers/group.toml /\n",
      fmt::arg("builder", spec.builder), fmt::arg("lifecycle", spec.lifecycle),
      fmt::arg("user", fmt::format("{}:{}", spec.user_id, spec.group_id)),
      fmt::arg("image", spec.image), fmt::arg("environment", environment(spec)),
      fmt::arg("cache", k_cache_mount), fmt::arg("emptying", emptying(spec)),
      fmt::arg("login", k_login_mount), fmt::arg("engine", engine_mounts(spec)));
}

/// TOML's basic string.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace

std::string write_build_file(const BuildFileSpec& spec) {
  return spec.trusted ? trusted_build_file(spec) : untrusted_build_file(spec);
}

std::string_view create_script() {
  return R"(# Runs the lifecycle as root, which it gives up before a buildpack runs.
set -u
# A builder that only has the older file for its run image needs the API that reads it.
if [ -z "${CNB_RUN_IMAGE:-}" ] && [ ! -f /cnb/run.toml ] && [ -f /cnb/stack.toml ]; then
  export CNB_PLATFORM_API=0.11
fi
/cnb/lifecycle/creator "$1"
code=$?
# What a buildpack may have put there as a link is not followed.
mkdir -p /cnb-out
for file in report.toml group.toml; do
  if [ -f "/layers/$file" ] && [ ! -L "/layers/$file" ]; then
    cp "/layers/$file" "/cnb-out/$file"
  fi
done
echo "$code" >/cnb-out/exit-code
# Otherwise every build would leave the app and its layers in the engine's cache.
rm -rf /layers /workspace
exit 0
)";
}

std::map<std::string, std::string> build_arguments(const BuildArguments& arguments) {
  std::map<std::string, std::string> named{{"CNB_BUILD_NONCE", arguments.nonce},
                                           {"CNB_PLATFORM_API", arguments.platform_api.str()}};
  if (!arguments.previous_image.empty()) {
    named["CNB_PREVIOUS_IMAGE"] = arguments.previous_image;
  }
  if (!arguments.run_image.empty()) {
    named["CNB_RUN_IMAGE"] = arguments.run_image;
  }
  if (arguments.epoch) {
    named["CNB_IMAGE_EPOCH"] = std::to_string(arguments.epoch->time_since_epoch().count());
  }
  if (arguments.skip_restore) {
    named["CNB_SKIP_RESTORE"] = "true";
  }
  return named;
}

std::string write_run_toml(const std::string& run_image) {
  return "[[images]]\nimage = " + quoted(run_image) + "\n";
}

std::string write_stack_toml(const std::string& run_image) {
  return "[run-image]\nimage = " + quoted(run_image) + "\n";
}

std::string write_project_metadata(const std::string& repository, const std::string& commit) {
  return "[source]\ntype = \"git\"\n[source.version]\ncommit = " + quoted(commit) +
         "\n[source.metadata]\nrepository = " + quoted(repository) + "\n";
}

}  // namespace builder::domain::buildpacks
