#pragma once

#include "adapters/attestation/key_file.hpp"
#include "adapters/buildkit/client/tls.hpp"
#include "adapters/buildkit/compression.hpp"
#include "adapters/buildkit/diagnosis/frontend.hpp"
#include "adapters/buildkit/image_epoch.hpp"
#include "adapters/docker/engine_address.hpp"
#include "adapters/ecr/credentials.hpp"
#include "adapters/ecr/kms_signer.hpp"
#include "adapters/history/history.hpp"
#include "adapters/host/step_limits.hpp"
#include "adapters/network/address_class.hpp"
#include "adapters/network/allowed_hosts.hpp"
#include "adapters/oci/configured_logins.hpp"
#include "adapters/policy/policy.hpp"
#include "adapters/redis/client/redis_config.hpp"
#include "app/config/buildkit_address.hpp"
#include "app/host/admission.hpp"
#include "base/log.hpp"
#include "base/redactor.hpp"
#include "base/secret.hpp"
#include "work/run_contract.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace builder::app {

using adapters::network::NetworkPolicy;

/// What a setting is about. A command needs those of its own concerns only: what is wrong with, or
/// missing of, the others does not keep it from its work.
enum class Concern {
  general,   ///< Every command's.
  queue,     ///< Redis, and what is taken from it.
  platform,  ///< The API.
  registry,  ///< Where images go.
  build,     ///< Source, engine, and how an image is made of them.
  worker,    ///< How a worker lives on its machine.
  history,   ///< What workers remember of builds, and who may read it.
};

/// Everything the service can be told, read once at the start. The rows of the settings have the
/// defaults; what stands here is never seen.
struct Config {
  /// What the settings that are marked as secret hold, for the redactor.
  std::vector<NamedSecret> secrets;
  /// What an image depends on beside its commit, with names and values as they are set, for the
  /// history. None is a secret, and none is empty.
  std::vector<std::pair<std::string, std::string>> image_settings;

  adapters::redis::RedisConfig redis;
  bool waiting_lines = false;

  adapters::ecr::CredentialSettings aws;
  std::string ecr_endpoint;  ///< Empty: AWS's own for the region.
  int ecr_keep_images = 0;
  work::ImageReference image_reference{};
  domain::AttestationRule attestations{};
  std::string builder_id;  ///< A URI; empty only where nothing is attested.
  /// What signs: one of the two, or none.
  std::optional<adapters::attestation::PrivateKey> signing_key;
  std::optional<adapters::ecr::KmsKey> kms_key;
  std::string kms_endpoint;  ///< Empty: AWS's own for the region.
  std::string sbom_scanner;  ///< Image reference; empty: no image is scanned.
  bool record_downloads = false;

  std::string api_url;  ///< Without a trailing slash.
  Secret api_key;
  std::chrono::seconds unknown_timeout{0};
  std::string help_url;  ///< Without a trailing slash; empty: none.

  std::string platforms;  ///< With commas between them.
  bool platform_emulation{};
  adapters::buildkit::Compression image_compression;

  adapters::docker::EngineAddress docker_host;
  /// Empty: the Engine at `docker_host` builds. The first one builds for platforms that none is
  /// named for; it is that of linux/amd64, where there is one.
  std::vector<BuildkitAddress> buildkits;
  std::optional<adapters::buildkit::TlsSettings> buildkit_tls;  ///< Absent: plain.
  adapters::oci::LoginTable registry_logins;                    ///< For base images.
  std::string github_url;                                       ///< Without a trailing slash.
  domain::CacheSharing cache_sharing{};
  domain::DeliveryRules delivery;
  domain::knobs::KnobRules
      customer_knobs;  ///< Its bounds where they are wider than other settings.
  domain::SecretInImage secret_in_image{};
  domain::SecretNames secret_names;
  std::chrono::seconds secret_search_time{0};
  NetworkPolicy git_network_policy{};
  adapters::network::AllowedHosts git_allowed_hosts;
  adapters::buildkit::FrontendRules frontends;
  std::shared_ptr<const adapters::policy::Policy> policy;  ///< Null: there is none.
  NetworkPolicy build_network_policy{};
  bool build_network_isolation = false;  ///< No engine will do whose steps share its own network.

  std::string cnb_builder;
  std::vector<std::string> cnb_trusted_builders;  ///< Empty: the known ones and `cnb_builder`.
  std::vector<std::string> cnb_allowed_builders;
  std::string cnb_run_image;
  std::string cnb_lifecycle_image;
  bool cnb_host_network = false;
  bool cnb_user_env = false;
  std::string cnb_node_version;
  std::string cnb_bindings;  ///< A folder; empty: none.
  Secret cnb_dependency_mirror;

  std::string work_dir;
  std::string worker_id;  ///< Names what version 1.0 had taken; empty: kept in the work folder.
  std::size_t max_parallel_builds = 0;
  std::chrono::seconds build_timeout{0};
  std::chrono::seconds fetch_timeout{0};
  std::chrono::seconds reuse_images{0};
  domain::BaseImages base_images{};
  std::chrono::seconds base_images_renew{0};
  bool image_labels = false;
  std::chrono::seconds silence_timeout{0};
  std::chrono::seconds drain_timeout{0};
  std::chrono::seconds lease_time{0};
  bool allow_unsafe_queue = false;
  AdmissionRules admission;
  std::uint64_t mirror_cache_size = 0;
  std::uint64_t max_source_size = 0;
  adapters::buildkit::ImageEpoch image_epoch{};
  adapters::host::CgroupLimits build_limits;
  bool build_memory_auto = false;  ///< What the engine's machine can bear, where that is this one.
  bool build_pids_auto = false;
  std::string build_cgroup_parent;
  bool build_proxy = false;
  bool strict_versions = false;
  adapters::history::HistorySettings history;
  std::uint64_t log_spool_size = 0;
  std::uint64_t log_limit = 0;  ///< 0: none.
  std::string engine_dir;   ///< Where the engine keeps its data; empty: it is asked, or not known.
  std::string http_listen;  ///< `host:port`; empty: no endpoint.
  Secret history_token;     ///< Empty: nobody reads the history over HTTP.
  std::string history_address;  ///< Without a trailing slash; empty: made of `http_listen`.
  LogLevel log_level{};
  LogFormat log_format{};
};

/// Whether an image depends on the setting, so that it is made again with the same one. Such a
/// setting keeps nobody away from anything: whoever replays a build takes it from a history.
bool is_image_setting(std::string_view name);

/// Every secret that the process has from its settings, for the redactor: those of the settings,
/// the passwords of REGISTRY_AUTHS_FILE and of proxies.
std::vector<NamedSecret> secrets_of(const Config& config);

/// One line of `deployra-builder config`.
struct EffectiveSetting {
  std::string name;
  std::string value;   ///< Secrets are starred.
  std::string origin;  ///< environment, .env or default.
  std::string help;
};

struct ConfigError {
  Concern concern;
  std::string text;  ///< Names its variable.
};

struct LoadedConfig {
  Config config;
  std::vector<EffectiveSetting> settings;
  std::vector<ConfigError> errors;    ///< Every one found.
  std::vector<std::string> warnings;  ///< What is probably not meant.

  /// Those that keep a command with these concerns from its work.
  [[nodiscard]] std::vector<std::string> errors_of(std::initializer_list<Concern> concerns) const;
};

using EnvironmentLookup = std::function<std::optional<std::string>(std::string_view name)>;

/// Of the process's environment.
std::optional<std::string> process_variable(std::string_view name);

/// Reads every setting: the environment wins over `dotenv` (the text of a `.env` file). An empty
/// value equals an absent one.
LoadedConfig load_config(const EnvironmentLookup& environment, std::string_view dotenv);

/// From the process's environment and `.env` in the working directory.
LoadedConfig load_config();

/// The same two, for those who ask for single names. A `.env` that cannot be read is an empty one.
EnvironmentLookup settings_around();

}  // namespace builder::app
