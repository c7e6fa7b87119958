#include "app/compose/local_parts.hpp"

#include "adapters/buildkit/image_builder.hpp"
#include "adapters/git/disk_tree.hpp"
#include "adapters/oci/docker_config.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace builder::app {

namespace {

/// A person waits, and knows better whether the registry will come back. A few tries.
constexpr std::chrono::seconds k_push_patience{10};

std::vector<std::string> all_variables() {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    variables.emplace_back(*entry);
  }
  return variables;
}

/// What `docker login` has left; what cannot be read is no login, which is said.
std::unique_ptr<ports::RegistryLogins> docker_logins_of(const EnvironmentLookup& environment,
                                                        const Log& log) {
  const std::string folder =
      environment("DOCKER_CONFIG").value_or(environment("HOME").value_or("") + "/.docker");
  const std::string path = folder + "/config.json";
  std::ostringstream text;
  if (std::ifstream file(path, std::ios::binary); file) {
    text << file.rdbuf();
  }
  auto logins = adapters::oci::make_docker_config_logins(text.view(), all_variables());
  if (!logins) {
    log.warning("{} {}: its logins are not used", path, logins.error().message);
    logins = adapters::oci::make_docker_config_logins({}, {});
  }
  return *std::move(logins);
}

}  // namespace

Result<ports::SharedLogin> HiddenLogins::login(const ports::JobContext& job,
                                               const std::string& host) {
  if (only_ && *only_ != host) {
    return nullptr;
  }
  auto login = logins_.login(job, host);
  if (login && *login != nullptr) {
    // Held until it is entered: another thread may get the same one.
    auto entered = entered_.lock();
    if (std::exchange((*entered)[host], *login) != *login) {
      secrets_.add_forever({{"password for " + host, (*login)->password}});
    }
  }
  return login;
}

void HiddenLogins::renew(const std::string& host, const ports::SharedLogin& refused) {
  logins_.renew(host, refused);
}

LocalParts::LocalParts(Config configured, TempDir temporary, WorkDir opened,
                       std::unique_ptr<ports::RegistryLogins> logins_of_docker,
                       LocalRegistry pushed_to, SecretStore& secrets, const Log& log)
    : config(std::move(configured)),
      http(adapters::http::make_client()),
      folder(std::move(temporary)),
      work(std::move(opened)),
      docker_logins(std::move(logins_of_docker)),
      hidden_logins(*docker_logins, std::move(pushed_to.login_only_for), secrets),
      logins(hidden_logins, config.registry_logins),
      oci(adapters::oci::make_client({}, *http, logins, log)),
      registry(adapters::oci::make_plain_registry(std::move(pushed_to.repository), *oci)),
      keeper(adapters::docker::make_engine(config.docker_host, *http)) {
}

Result<std::unique_ptr<LocalParts>> LocalParts::make(Config config, LocalRegistry pushed_to,
                                                     const EnvironmentLookup& environment,
                                                     SecretStore& secrets, const Log& log) {
  // Nothing is said of its images.
  config.record_downloads = false;
  std::error_code error;
  const auto parent = std::filesystem::temp_directory_path(error);
  if (error) {
    return failure(ErrorKind::not_found, "TMPDIR: " + error.message());
  }
  BUILDER_TRY_ASSIGN(TempDir folder, TempDir::make(parent.string(), "deployra-builder-"));
  BUILDER_TRY_ASSIGN(WorkDir work, WorkDir::open(folder.path() + "/work", {}));
  std::unique_ptr<LocalParts> parts(
      new LocalParts(std::move(config), std::move(folder), std::move(work),
                     docker_logins_of(environment, log), std::move(pushed_to), secrets, log));
  BUILDER_TRY_ASSIGN(parts->build, BuildParts::make(parts->config, parts->work, *parts->http,
                                                    {*parts->registry, parts->logins, *parts->oci,
                                                     k_push_patience, parts->keeper.get()},
                                                    secrets, log));
  parts->exporter =
      adapters::buildkit::make_image_exporter({.solver = parts->build->solver(),
                                               .docker = parts->keeper.get(),
                                               .docker_builds = parts->build->docker != nullptr,
                                               .folder = parts->folder.path(),
                                               .epoch = parts->config.image_epoch});
  return parts;
}

Result<ports::FetchedSource> folder_source(const std::string& path) {
  BUILDER_TRY_ASSIGN(auto tree, adapters::git::make_folder_tree(path));
  return ports::FetchedSource{.commit = {}, .subject = {}, .tree = std::move(tree)};
}

}  // namespace builder::app
