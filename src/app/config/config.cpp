#include "app/config/config.hpp"

#include "adapters/http/proxy.hpp"
#include "app/config/dotenv_file.hpp"
#include "app/config/setting_values.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <sstream>
#include <thread>
#include <utility>

namespace builder::app {

namespace {

using adapters::buildkit::ImageEpoch;
using work::ImageReference;

struct Setting {
  std::string_view name;
  Concern concern;
  std::string fallback;
  bool secret;
  std::string_view help;
  ValueReader apply;
};

/// Settings that are worked up into others when all are read.
struct Raw {
  std::string ecr_endpoint;
  std::string any_endpoint;
  std::string default_region;
  std::string profile;  ///< Looked up with the other variables of the credentials.
  adapters::buildkit::TlsFiles tls;
  std::string docker_tls;
  std::string docker_certificates;
  std::string docker_context;
};

ValueReader network_policy(NetworkPolicy& target) {
  return values::one_of<NetworkPolicy>(target, {{"public", NetworkPolicy::public_only},
                                                {"private", NetworkPolicy::private_networks},
                                                {"any", NetworkPolicy::any}});
}

std::vector<Setting> settings(Config& c, Raw& raw) {
  using namespace values;
  using enum Concern;
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  const auto parallel = std::clamp(cores / 2, 1u, 4u);
  return {
      {"REDIS_HOST", queue, "localhost", false, "Redis host, or IPv6 address",
       host_name(c.redis.address.host, "REDIS_PORT")},
      {"REDIS_PORT", queue, "6379", false, "Redis port", number(c.redis.address.port, 1, 65'535)},
      {"REDIS_USERNAME", queue, "", false, "Redis ACL user", text(c.redis.username)},
      {"REDIS_PASSWORD", queue, "", true, "Redis password", secret(c.redis.password)},
      {"REDIS_URL", queue, "", true,
       "redis://, rediss:// or unix:// instead of host, port, user, password",
       [&c](const std::string& value) -> Complaint {
         const auto applied =
             value.empty() ? Result<>() : adapters::redis::apply_url(c.redis, value);
         return applied ? Complaint() : applied.error().message;
       }},
      {"REDIS_TLS", queue, "false", false, "speak TLS with Redis (rediss:// does as well)",
       [&c](const std::string& value) -> Complaint {
         bool wanted = false;
         const Complaint complaint =
             one_of<bool>(wanted, {{"true", true}, {"false", false}})(value);
         c.redis.tls.enabled = c.redis.tls.enabled || wanted;
         return complaint;
       }},
      {"REDIS_TLS_CA_FILE", queue, "", false,
       "who may have signed Redis's certificate; empty: the system's", text(c.redis.tls.ca_file)},
      {"REDIS_TLS_CERT_FILE", queue, "", false, "our certificate, when Redis wants one",
       text(c.redis.tls.certificate_file)},
      {"REDIS_TLS_KEY_FILE", queue, "", false, "its key", text(c.redis.tls.key_file)},
      {"REDIS_SENTINELS", queue, "", false, "host:port,… of the sentinels to ask for the master",
       [&c](const std::string& value) -> Complaint {
         auto addresses = adapters::redis::parse_addresses(value, 26'379);
         if (!addresses) {
           return addresses.error().message;
         }
         c.redis.sentinel.addresses = *std::move(addresses);
         return {};
       }},
      {"REDIS_SENTINEL_MASTER", queue, "mymaster", false, "the master's name there",
       text(c.redis.sentinel.master)},
      {"REDIS_SENTINEL_PASSWORD", queue, "", true, "the sentinels' password",
       secret(c.redis.sentinel.password)},
      {"REDIS_QUEUE_NAME", queue, "builder-queue", false, "list the platform pushes jobs to",
       text(c.redis.queue)},
      {"REDIS_CANCEL_CHANNEL_NAME", queue, "builder:cancel", false, "channel of cancel messages",
       text(c.redis.cancel_channel)},
      {"API_URL", platform, "http://127.0.0.1:3000/api", false, "the platform's API",
       http_url(c.api_url)},
      {"API_KEY", platform, "", true, "the platform's WEBHOOK_API_KEY (required)",
       secret(c.api_key)},
      {"UNKNOWN_DEPLOYMENT_TIMEOUT", platform, "10m", false,
       "a deployment the platform does not know for so long, unlike others, is given up",
       duration(c.unknown_timeout, 1)},
      {"HELP_URL", platform, "", false,
       "pages about failures: a failed build's log names HELP_URL/KIND", http_url(c.help_url)},
      {"AWS_REGION", registry, "us-east-1", false, "region of the registry",
       region(c.aws.endpoints.region)},
      {"AWS_DEFAULT_REGION", registry, "", false, "where AWS_REGION is not set",
       text(raw.default_region)},
      {"AWS_ACCESS_KEY_ID", registry, "", false,
       "empty: profile, web identity, container or instance role", text(c.aws.access_key_id)},
      {"AWS_SECRET_ACCESS_KEY", registry, "", true, "belongs to AWS_ACCESS_KEY_ID",
       secret(c.aws.secret_access_key)},
      {"AWS_SESSION_TOKEN", registry, "", true, "of temporary credentials",
       secret(c.aws.session_token)},
      {"AWS_PROFILE", registry, "", false, "profile of ~/.aws/credentials and ~/.aws/config",
       text(raw.profile)},
      {"AWS_USE_FIPS_ENDPOINT", registry, "false", false, "true: AWS's FIPS endpoints",
       one_of<bool>(c.aws.endpoints.fips, {{"true", true}, {"false", false}})},
      {"AWS_USE_DUALSTACK_ENDPOINT", registry, "false", false, "true: AWS's endpoints with IPv6",
       one_of<bool>(c.aws.endpoints.dual_stack, {{"true", true}, {"false", false}})},
      {"AWS_ENDPOINT_URL_ECR", registry, "", false, "another ECR API endpoint",
       http_url(raw.ecr_endpoint)},
      {"AWS_ENDPOINT_URL", registry, "", false, "another endpoint for all of AWS",
       http_url(raw.any_endpoint)},
      {"ECR_KEEP_IMAGES", registry, "1", false, "images a repository keeps",
       number(c.ecr_keep_images, 1, 1000)},
      {"IMAGE_REFERENCE", registry, "auto", false, "auto, tag (bare URI) or digest",
       one_of<ImageReference>(c.image_reference, {{"auto", ImageReference::automatic},
                                                  {"tag", ImageReference::tag},
                                                  {"digest", ImageReference::digest}})},
      {"IMAGE_COMPRESSION", build, "gzip", false, "gzip or zstd, also with a level (zstd:3)",
       compression(c.image_compression)},
      {"DOCKER_HOST", build, "unix:///var/run/docker.sock", false, "the engine that builds",
       engine_address(c.docker_host)},
      {"DOCKER_TLS_VERIFY", build, "", false,
       "as the docker command has it; refused, see BUILDKIT_TLS_CA", text(raw.docker_tls)},
      {"DOCKER_CERT_PATH", build, "", false, "the same", text(raw.docker_certificates)},
      {"DOCKER_CONTEXT", build, "", false, "refused: set DOCKER_HOST to the context's endpoint",
       text(raw.docker_context)},
      {"BUILDKIT_HOST", build, "", false, "a standalone BuildKit that builds instead",
       engine_address(c.buildkit_host)},
      {"BUILDKIT_TLS_CA", build, "", false, "PEM file: who may have signed its certificate",
       text(raw.tls.ca)},
      {"BUILDKIT_TLS_CERT", build, "", false, "PEM file: our certificate",
       text(raw.tls.certificate)},
      {"BUILDKIT_TLS_KEY", build, "", false, "PEM file: belongs to BUILDKIT_TLS_CERT",
       text(raw.tls.key)},
      {"BUILDKIT_TLS_SERVER_NAME", build, "", false, "name in its certificate; default: the host",
       text(raw.tls.server_name)},
      {"REGISTRY_AUTHS_FILE", build, "", false, "config.json with `auths`: logins for base images",
       auths_file(c.registry_logins)},
      {"GITHUB_URL", build, "https://github.com", false, "GitHub, or a GitHub Enterprise server",
       http_url(c.github_url)},
      {"GIT_NETWORK_POLICY", build, "private", false,
       "public, private or any: where git may connect to", network_policy(c.git_network_policy)},
      {"GIT_ALLOWED_HOSTS", build, "", false,
       "hosts, *.domains, addresses and networks git may connect to whatever the policy says",
       [&c](const std::string& value) -> Complaint {
         auto allowed = adapters::network::AllowedHosts::parse(value);
         if (!allowed) {
           return allowed.error().message;
         }
         c.git_allowed_hosts = *std::move(allowed);
         return {};
       }},
      {"BUILD_NETWORK_POLICY", build, "public", false,
       "public, private or any: where ADD and FROM of a Dockerfile may connect to",
       network_policy(c.build_network_policy)},
      {"BUILD_NETWORK_ISOLATION", build, "warn", false,
       "warn or require: what about a BuildKit whose RUN steps share its own network",
       one_of<bool>(c.build_network_isolation, {{"warn", false}, {"require", true}})},
      {"FRONTENDS", build, "docker/dockerfile,docker/dockerfile-upstream", false,
       "images a '# syntax=' line may name, or any",
       [&c](const std::string& value) -> Complaint {
         auto rules = adapters::buildkit::parse_frontend_rules(value);
         if (!rules) {
           return rules.error().message;
         }
         c.frontends = *std::move(rules);
         return {};
       }},
      {"CACHE_SHARING", build, "service", false,
       "service, organization or all: who shares the cache mounts of Dockerfiles",
       one_of<domain::CacheSharing>(c.cache_sharing,
                                    {{"service", domain::CacheSharing::service},
                                     {"organization", domain::CacheSharing::organization},
                                     {"all", domain::CacheSharing::all}})},
      {"CNB_BUILDER", build, "paketobuildpacks/builder-jammy-base", false,
       "builder image for services without a Dockerfile", text(c.cnb_builder)},
      {"CNB_TRUSTED_BUILDERS", build, "", false,
       "builders that get the registry login; default: well-known ones and CNB_BUILDER",
       list(c.cnb_trusted_builders)},
      {"CNB_ALLOWED_BUILDERS", build, "", false, "further builders a project.toml may choose",
       list(c.cnb_allowed_builders)},
      {"CNB_RUN_IMAGE", build, "", false, "run image in place of the builder's own",
       text(c.cnb_run_image)},
      {"CNB_LIFECYCLE_IMAGE", build, "buildpacksio/lifecycle:{version}", false,
       "lifecycle of builders that are not trusted", text(c.cnb_lifecycle_image)},
      {"CNB_NETWORK", build, "default", false, "default or host: the network of buildpack builds",
       one_of<bool>(c.cnb_host_network, {{"default", false}, {"host", true}})},
      {"CNB_USER_ENV", build, "off", false, "on: the service's variables reach the buildpacks",
       one_of<bool>(c.cnb_user_env, {{"off", false}, {"on", true}})},
      {"CNB_NODE_VERSION", build, "", false,
       "BP_NODE_VERSION of all builds, as the original's 18.*", text(c.cnb_node_version)},
      {"CNB_BINDINGS", build, "", false, "folder of service bindings for buildpack builds",
       text(c.cnb_bindings)},
      {"CNB_DEPENDENCY_MIRROR", build, "", true, "where buildpacks download from",
       secret(c.cnb_dependency_mirror)},
      {"WORK_DIR", build, "tmp", false, "mirrors and work trees", text(c.work_dir)},
      {"WORKER_ID", queue, "", false, "name under which version 1.0 kept its jobs",
       [&c](const std::string& value) -> Complaint {
         const auto allowed = [](unsigned char ch) {
           return std::isalnum(ch) != 0 || ch == '-' || ch == '_' || ch == '.';
         };
         if (value.size() > 64 || !std::ranges::all_of(value, allowed)) {
           return "must be at most 64 letters, digits, '-', '_' or '.'";
         }
         c.worker_id = value;
         return {};
       }},
      {"MAX_PARALLEL_BUILDS", worker, std::to_string(parallel), false, "builds at once",
       number(c.max_parallel_builds, 1, 64)},
      {"BUILD_TIMEOUT", build, "30m", false, "longest time of one deployment",
       duration(c.build_timeout, 1)},
      {"FETCH_TIMEOUT", build, "10m", false, "longest time to get the source",
       duration(c.fetch_timeout, 1)},
      {"SILENCE_TIMEOUT", build, "10m", false,
       "a build without a sign of life for so long is stopped; 0: never",
       duration(c.silence_timeout, 0)},
      {"DRAIN_TIMEOUT", worker, "10m", false, "at a stop, running builds get this long",
       duration(c.drain_timeout, 0)},
      {"LEASE_TIME", queue, "60s", false, "a worker silent for so long loses its jobs to others",
       duration(c.lease_time, 2)},
      {"ALLOW_UNSAFE_QUEUE", queue, "false", false,
       "work, with lesser promises, with a Redis that refuses scripts",
       one_of<bool>(c.allow_unsafe_queue, {{"true", true}, {"false", false}})},
      {"MIN_FREE_DISK", worker, "10%,20GiB", false,
       "no job is taken with less free: a share, a size, or both (the lesser counts)",
       free_floor(c.admission.min_free_disk)},
      {"MIRROR_CACHE_SIZE", build, "20GiB", false, "git mirrors kept in WORK_DIR",
       size(c.mirror_cache_size)},
      {"MAX_SOURCE_SIZE", build, "4GiB", false,
       "the files of one deployment together, with submodules and Git LFS; 0: no limit",
       size(c.max_source_size)},
      {"IMAGE_EPOCH", build, "created", false,
       "created, layers or off: which times of an image are the commit's",
       one_of<ImageEpoch>(c.image_epoch, {{"created", ImageEpoch::created},
                                          {"layers", ImageEpoch::layers},
                                          {"off", ImageEpoch::off}})},
      {"BUILD_MEMORY", build, "auto", false,
       "memory of one step of a build; auto: what this machine can bear; 0: no limit",
       or_auto(c.build_memory_auto, size(c.build_limits.memory))},
      {"BUILD_CPUS", build, "0", false, "cores of one step of a build; 0: no limit",
       core_count(c.build_limits.cpus)},
      {"BUILD_PIDS", build, "auto", false,
       "processes and threads of one step of a build; auto: 16384; 0: no limit",
       or_auto(c.build_pids_auto, number(c.build_limits.pids, 0, 4'000'000))},
      {"BUILD_PROXY", build, "false", false,
       "true: builds get the worker's proxy variables, passwords in them included",
       one_of<bool>(c.build_proxy, {{"true", true}, {"false", false}})},
      {"STRICT_VERSIONS", build, "false", false,
       "true: no job is taken with a git, engine, BuildKit or runc that has known holes",
       one_of<bool>(c.strict_versions, {{"true", true}, {"false", false}})},
      {"BUILD_CGROUP_PARENT", build, "", false, "control group that the steps of builds go below",
       absolute_path(c.build_cgroup_parent)},
      {"ENGINE_DIR", build, "", false, "folder of the engine's data, if on this machine",
       absolute_path(c.engine_dir)},
      {"MAX_MEMORY_PRESSURE", worker, "40", false, "no job is taken above (PSI, percent); 0: off",
       number(c.admission.max_memory_pressure, 0, 100)},
      {"MAX_IO_PRESSURE", worker, "0", false, "no job is taken above (PSI, percent); 0: off",
       number(c.admission.max_io_pressure, 0, 100)},
      {"LOG_SPOOL_SIZE", worker, "64MiB", false,
       "disk for a log that the platform does not take in time", size(c.log_spool_size)},
      {"LOG_LIMIT", worker, "64MiB", false, "of a longer log only the end follows; 0: no limit",
       size(c.log_limit)},
      {"HTTP_LISTEN", worker, "", false, "host:port of health and metrics; empty: none",
       listen_address(c.http_listen)},
      {"LOG_LEVEL", general, "info", false, "debug, info, warn or error",
       one_of<LogLevel>(c.log_level, {{"debug", LogLevel::debug},
                                      {"info", LogLevel::info},
                                      {"warn", LogLevel::warning},
                                      {"error", LogLevel::error}})},
  };
}

void check_engine(LoadedConfig& loaded, const adapters::buildkit::TlsFiles& tls) {
  Config& c = loaded.config;
  const std::size_t before = loaded.errors.size();
  for (const auto& [name, value] :
       {std::pair("BUILDKIT_TLS_CA", tls.ca), std::pair("BUILDKIT_TLS_CERT", tls.certificate),
        std::pair("BUILDKIT_TLS_KEY", tls.key),
        std::pair("BUILDKIT_TLS_SERVER_NAME", tls.server_name)}) {
    if (!value.empty() && !c.buildkit_host.starts_with("tcp://")) {
      loaded.errors.push_back(
          {Concern::build, fmt::format("{} needs BUILDKIT_HOST=tcp://host:port", name)});
    }
  }
  if (tls.certificate.empty() != tls.key.empty()) {
    loaded.errors.push_back(
        {Concern::build,
         "BUILDKIT_TLS_CERT and BUILDKIT_TLS_KEY belong together: set both or none"});
  }
  if (tls.ca.empty() && tls.certificate.empty()) {
    if (!tls.server_name.empty()) {
      loaded.errors.push_back(
          {Concern::build, "BUILDKIT_TLS_SERVER_NAME needs BUILDKIT_TLS_CA or BUILDKIT_TLS_CERT"});
    }
    return;
  }
  if (loaded.errors.size() > before) {
    return;
  }
  auto read = adapters::buildkit::read_tls_files(tls);
  if (read) {
    c.buildkit_tls = *std::move(read);
  } else {
    loaded.errors.push_back({Concern::build, read.error().message});
  }
}

/// AWS_REGION, AWS_DEFAULT_REGION, the profile's, or the default.
void choose_region(LoadedConfig& loaded, const std::string& default_region) {
  const auto row =
      std::ranges::find(loaded.settings, std::string_view("AWS_REGION"), &EffectiveSetting::name);
  if (row->origin != "default") {
    return;
  }
  std::string value = default_region;
  std::string origin = "AWS_DEFAULT_REGION";
  if (value.empty()) {
    value = adapters::ecr::profile_region(loaded.config.aws.environment);
    origin = "profile";
  }
  if (value.empty()) {
    return;
  }
  if (const Complaint complaint = values::region(loaded.config.aws.endpoints.region)(value);
      !complaint.empty()) {
    loaded.errors.push_back(
        {Concern::registry, fmt::format("the region of {} {}: '{}'", origin, complaint, value)});
    return;
  }
  row->value = value;
  row->origin = origin;
}

void check_combinations(LoadedConfig& loaded, const Raw& raw) {
  const Config& c = loaded.config;
  const bool asks_engine = c.buildkit_host.empty();
  for (const auto& [name, value] : {std::pair("DOCKER_TLS_VERIFY", raw.docker_tls),
                                    std::pair("DOCKER_CERT_PATH", raw.docker_certificates)}) {
    if (!value.empty() && asks_engine && c.docker_host.starts_with("tcp://")) {
      // Without a word it would be spoken to in the clear, or not at all.
      loaded.errors.push_back(
          {Concern::build,
           fmt::format("{} asks for TLS to the Docker Engine, which is spoken to without: use its "
                       "unix socket, or a buildkitd with BUILDKIT_HOST and BUILDKIT_TLS_CA",
                       name)});
      break;
    }
  }
  if (!raw.docker_context.empty() && raw.docker_context != "default" && asks_engine) {
    loaded.errors.push_back(
        {Concern::build,
         "DOCKER_CONTEXT names a context of the docker command, which is not read here: set "
         "DOCKER_HOST to its endpoint, and take DOCKER_CONTEXT away"});
  }
  if (c.api_key.empty()) {
    loaded.errors.push_back(
        {Concern::platform, "API_KEY is required: the platform's WEBHOOK_API_KEY"});
  }
  if (c.build_network_isolation && c.cnb_host_network) {
    loaded.errors.push_back({Concern::build,
                             "BUILD_NETWORK_ISOLATION=require and CNB_NETWORK=host exclude each "
                             "other: buildpacks would "
                             "run in the engine's own network"});
  }
  if (c.redis.tls.certificate_file.empty() != c.redis.tls.key_file.empty()) {
    loaded.errors.push_back(
        {Concern::queue,
         "REDIS_TLS_CERT_FILE and REDIS_TLS_KEY_FILE belong together: set both or none"});
  }
  if (!c.redis.sentinel.addresses.empty() && !c.redis.socket.empty()) {
    loaded.errors.push_back(
        {Concern::queue, "REDIS_SENTINELS and a unix socket cannot be used together"});
  }
  if (c.aws.access_key_id.empty() != c.aws.secret_access_key.empty()) {
    loaded.errors.push_back(
        {Concern::registry,
         "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both or none"});
  }
  if (!c.ecr_endpoint.empty() && (c.aws.endpoints.fips || c.aws.endpoints.dual_stack)) {
    loaded.errors.push_back(
        {Concern::registry,
         "AWS_ENDPOINT_URL_ECR and AWS_ENDPOINT_URL name an endpoint: AWS_USE_FIPS_ENDPOINT and "
         "AWS_USE_DUALSTACK_ENDPOINT choose another"});
  }
}

void check_proxy(LoadedConfig& loaded, const EnvironmentLookup& environment) {
  const std::string& url = loaded.config.api_url;
  const adapters::http::Proxies proxies(
      [&](const char* name) { return environment(name).value_or(std::string()); });
  if (url.starts_with("http://") && !adapters::http::is_of_this_machine(url) &&
      !proxies.for_url(url).empty()) {
    loaded.warnings.emplace_back(
        "API_URL is asked over http through a proxy (http_proxy), which can read API_KEY: use "
        "https, or name its host in no_proxy");
  }
}

/// How many letters have to be changed, added or taken away.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

/// A name of the file that is no setting's, but nearly. Others are for other programs.
void check_names(LoadedConfig& loaded, const DotenvValues& file) {
  constexpr std::size_t k_near = 2;
  for (const auto& [name, value] : file) {
    std::string upper = name;
    std::ranges::transform(upper, upper.begin(), [](unsigned char c) { return std::toupper(c); });
    const auto nearest = std::ranges::min_element(
        loaded.settings, {},
        [&](const EffectiveSetting& setting) { return distance(upper, setting.name); });
    if (nearest->name != name && distance(upper, nearest->name) <= k_near) {
      loaded.warnings.push_back(fmt::format(".env: {} is not a setting; {}?", name, nearest->name));
    }
  }
}

/// All of a value; of an address the password in it.
std::vector<std::string> secrets_in(const std::string& value) {
  return value.contains("://") ? adapters::http::passwords_in(value)
         : value.empty()       ? std::vector<std::string>()
                               : std::vector{value};
}

}  // namespace

std::vector<std::string> LoadedConfig::errors_of(std::initializer_list<Concern> concerns) const {
  std::vector<std::string> texts;
  for (const ConfigError& error : errors) {
    if (error.concern == Concern::general ||
        std::ranges::find(concerns, error.concern) != concerns.end()) {
      texts.push_back(error.text);
    }
  }
  return texts;
}

LoadedConfig load_config(const EnvironmentLookup& environment, std::string_view dotenv) {
  LoadedConfig loaded;
  Raw raw;
  const auto file = parse_dotenv(dotenv, ".env", loaded.warnings);
  for (const Setting& setting : settings(loaded.config, raw)) {
    if (setting.secret && !setting.name.starts_with("AWS_")) {
      loaded.config.aws.private_variables.emplace(setting.name);
    }
    std::string value = setting.fallback;
    std::string origin = "default";
    if (const auto from_file = file.find(setting.name);
        from_file != file.end() && !from_file->second.empty()) {
      value = from_file->second;
      origin = ".env";
    }
    if (const auto from_environment = environment(setting.name);
        from_environment && !from_environment->empty()) {
      value = *from_environment;
      origin = "environment";
    }
    // An address with an '@' may hold a password.
    const bool hide = setting.secret || value.contains('@');
    if (const Complaint complaint = setting.apply(value); !complaint.empty()) {
      loaded.errors.push_back(
          {setting.concern, fmt::format("{} {} ({} comes from: {})", setting.name, complaint,
                                        hide ? "its value" : "'" + value + "'", origin)});
    }
    if (setting.secret) {
      for (std::string& secret : secrets_in(value)) {
        loaded.config.secrets.push_back({std::string(setting.name), Secret(std::move(secret))});
      }
    }
    loaded.settings.push_back({std::string(setting.name),
                               hide && !value.empty() ? "********" : value, origin,
                               std::string(setting.help)});
  }
  // What the sources of credentials are configured by may stand in the file like everything else.
  loaded.config.aws.environment = [environment,
                                   file](std::string_view name) -> std::optional<std::string> {
    auto value = environment(name);
    if (value && !value->empty()) {
      return value;
    }
    const auto from_file = file.find(name);
    return name.starts_with("AWS_") && from_file != file.end() ? std::optional(from_file->second)
                                                               : value;
  };
  choose_region(loaded, raw.default_region);
  std::ranges::find(loaded.settings, std::string_view("AWS_ACCESS_KEY_ID"), &EffectiveSetting::name)
      ->help = "credentials in force: " + adapters::ecr::describe_credentials(loaded.config.aws);
  loaded.config.ecr_endpoint = raw.ecr_endpoint.empty() ? raw.any_endpoint : raw.ecr_endpoint;
  check_combinations(loaded, raw);
  check_proxy(loaded, environment);
  check_names(loaded, file);
  check_engine(loaded, raw.tls);
  return loaded;
}

LoadedConfig load_config() {
  std::ostringstream dotenv;
  std::string problem;
  if (std::filesystem::exists(".env")) {
    const std::ifstream file(".env", std::ios::binary);
    if (!file || std::filesystem::is_directory(".env")) {
      problem = ".env in the working directory cannot be read";
    } else {
      dotenv << file.rdbuf();
    }
  }
  LoadedConfig loaded = load_config(
      [](std::string_view name) -> std::optional<std::string> {
        const char* value = std::getenv(std::string(name).c_str());
        return value == nullptr ? std::nullopt : std::optional<std::string>(value);
      },
      dotenv.view());
  if (!problem.empty()) {
    loaded.errors.push_back({Concern::general, std::move(problem)});
  }
  return loaded;
}

}  // namespace builder::app
