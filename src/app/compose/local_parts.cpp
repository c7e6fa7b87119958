#include "app/compose/local_parts.hpp"

#include "adapters/buildkit/image_builder.hpp"
#include "adapters/git/disk_tree.hpp"

#include <filesystem>
#include <system_error>
#include <utility>

namespace builder::app {

LocalParts::LocalParts(Config configured, TempDir temporary, WorkDir opened,
                       ports::Repository pushed_to, const Log& log)
    : config(std::move(configured)),
      http(adapters::http::make_client()),
      folder(std::move(temporary)),
      work(std::move(opened)),
      logins(nobody, config.registry_logins),
      oci(adapters::oci::make_client({}, *http, logins, log)),
      registry(adapters::oci::make_plain_registry(std::move(pushed_to), *oci)) {
}

Result<std::unique_ptr<LocalParts>> LocalParts::make(Config config, ports::Repository pushed_to,
                                                     SecretStore& secrets, const Log& log) {
  std::error_code error;
  const auto parent = std::filesystem::temp_directory_path(error);
  if (error) {
    return failure(ErrorKind::not_found, "TMPDIR: " + error.message());
  }
  BUILDER_TRY_ASSIGN(TempDir folder, TempDir::make(parent.string(), "deployra-builder-"));
  BUILDER_TRY_ASSIGN(WorkDir work, WorkDir::open(folder.path() + "/work", {}));
  std::unique_ptr<LocalParts> parts(new LocalParts(std::move(config), std::move(folder),
                                                   std::move(work), std::move(pushed_to), log));
  BUILDER_TRY_ASSIGN(
      parts->build, BuildParts::make(parts->config, parts->work, *parts->http,
                                     {*parts->registry, parts->logins, *parts->oci}, secrets, log));
  const bool docker_builds = parts->build->docker != nullptr;
  if (!docker_builds) {
    BUILDER_TRY_ASSIGN(auto address,
                       adapters::docker::parse_docker_host(parts->config.docker_host));
    parts->keeper = adapters::docker::make_engine(std::move(address), *parts->http);
  }
  parts->exporter = adapters::buildkit::make_image_exporter(
      {.solver = *parts->build->solver,
       .docker = docker_builds ? parts->build->docker.get() : parts->keeper.get(),
       .docker_builds = docker_builds,
       .folder = parts->folder.path(),
       .epoch = parts->config.image_epoch},
      log);
  return parts;
}

Result<ports::FetchedSource> folder_source(const std::string& path) {
  BUILDER_TRY_ASSIGN(auto tree, adapters::git::make_folder_tree(path));
  return ports::FetchedSource{.commit = {}, .subject = {}, .tree = std::move(tree)};
}

}  // namespace builder::app
