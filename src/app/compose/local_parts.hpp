#pragma once

#include "adapters/docker/engine.hpp"
#include "adapters/http/client.hpp"
#include "adapters/oci/client.hpp"
#include "adapters/oci/configured_logins.hpp"
#include "adapters/oci/plain_registry.hpp"
#include "app/compose/build_parts.hpp"
#include "app/config/config.hpp"
#include "app/host/work_dir.hpp"
#include "base/log.hpp"
#include "base/secret_store.hpp"
#include "base/sync.hpp"
#include "base/temp_dir.hpp"
#include "build/local_build.hpp"
#include "ports/image_exporter.hpp"
#include "ports/registry_login.hpp"
#include "ports/source_fetcher.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace builder::app {

/// Where an image goes if it goes to a registry, and which logins of a person's its build gets.
struct LocalRegistry {
  ports::Repository repository;
  /// For the registry whose API is here; empty: none. Absent: all of them.
  std::optional<std::string> login_only_for;
};

/// Enters each password into `secrets` before anybody gets it. Both outlive it.
class HiddenLogins final : public ports::RegistryLogins {
 public:
  /// `only`: as of `LocalRegistry`.
  HiddenLogins(ports::RegistryLogins& logins, std::optional<std::string> only, SecretStore& secrets)
      : logins_(logins), only_(std::move(only)), secrets_(secrets) {}

  Result<ports::SharedLogin> login(const ports::JobContext& job, const std::string& host) override;
  void renew(const std::string& host, const ports::SharedLogin& refused) override;

 private:
  ports::RegistryLogins& logins_;
  const std::optional<std::string> only_;
  SecretStore& secrets_;
  Sync<std::map<std::string, ports::SharedLogin>> entered_;  ///< The last one of each host.
};

/// What a build by hand is made of: `BuildParts`, with a registry that a person names in place of
/// the platform's, with a way to keep images on this machine, and with a folder that goes away.
/// Needs the settings of `Concern::build`. Members are made in this order.
struct LocalParts {
  /// `environment` says where docker keeps its logins. `secrets` outlives the parts.
  /// No peer is asked.
  static Result<std::unique_ptr<LocalParts>> make(Config config, LocalRegistry pushed_to,
                                                  const EnvironmentLookup& environment,
                                                  SecretStore& secrets, const Log& log);
  LocalParts(const LocalParts&) = delete;
  LocalParts& operator=(const LocalParts&) = delete;

  /// Where images are loaded into.
  [[nodiscard]] std::string docker_address() const { return config.docker_host.str(); }

  [[nodiscard]] build::LocalPorts ports() const {
    return {*exporter, *build->image, *build->buildpacks};
  }

  const Config config;
  std::unique_ptr<adapters::http::Client> http;
  TempDir folder;
  WorkDir work;
  std::unique_ptr<ports::RegistryLogins> docker_logins;
  HiddenLogins hidden_logins;
  adapters::oci::ConfiguredLogins logins;
  std::unique_ptr<adapters::oci::Client> oci;
  std::unique_ptr<ports::Registry> registry;
  std::unique_ptr<adapters::docker::Engine> keeper;  ///< Takes images that stay on this machine.
  std::unique_ptr<BuildParts> build;
  std::unique_ptr<ports::ImageExporter> exporter;

 private:
  LocalParts(Config configured, TempDir temporary, WorkDir opened,
             std::unique_ptr<ports::RegistryLogins> logins_of_docker, LocalRegistry pushed_to,
             SecretStore& secrets, const Log& log);
};

/// A folder of this machine as a source; its errors name it.
Result<ports::FetchedSource> folder_source(const std::string& path);

}  // namespace builder::app
