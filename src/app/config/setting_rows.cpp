#include "app/config/setting_rows.hpp"

#include "adapters/redis/leased/job_queue.hpp"
#include "domain/knobs/knob_readers.hpp"
#include "domain/platform_name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <iterator>
#include <map>
#include <string>
#include <thread>
#include <utility>

namespace builder::app {

namespace {

using namespace values;
using enum Concern;
using adapters::buildkit::ImageEpoch;
using work::ImageReference;
using Rows = std::vector<Setting>;

ValueReader network_policy(NetworkPolicy& target) {
  return one_of<NetworkPolicy>(target, {{"public", NetworkPolicy::public_only},
                                        {"private", NetworkPolicy::private_networks},
                                        {"any", NetworkPolicy::any}});
}

ValueReader deliveries(domain::DeliveryRules& target) {
  return [&target](const std::string& value) -> Complaint {
    std::vector<std::string> words;
    Complaint complaint = list(words)(value);
    target = {.file = false, .secret = false, .argument = false};
    const std::map<std::string, bool*> known{
        {"file", &target.file}, {"secret", &target.secret}, {"arg", &target.argument}};
    for (const std::string& word : words) {
      const auto way = known.find(word);
      if (way == known.end()) {
        return "must be any of file, secret and arg, with commas between them";
      }
      *way->second = true;
    }
    return complaint;
  };
}

ValueReader customer_knobs(domain::knobs::KnobRules& target) {
  return [&target](const std::string& value) -> Complaint {
    auto rules = domain::knobs::read_rules(value);
    if (!rules) {
      return rules.error().message;
    }
    target = *std::move(rules);
    return {};
  };
}

ValueReader boolean(bool& target) {
  return one_of<bool>(target, {{"true", true}, {"false", false}});
}

/// As many as this machine builds well at once.
unsigned default_parallel_builds() {
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  return std::clamp(cores / 2, 1u, 4u);
}

std::string default_lease() {
  const auto lease = adapters::redis::QueueSettings().lease;
  return fmt::format("{}s", std::chrono::duration_cast<std::chrono::seconds>(lease).count());
}

Rows redis_rows(Config& c) {
  return {
      {"REDIS_HOST", queue, c.redis.address.host, false, "Redis host, or IPv6 address",
       host_name(c.redis.address.host, "REDIS_PORT")},
      {"REDIS_PORT", queue, std::to_string(c.redis.address.port), false, "Redis port",
       number(c.redis.address.port, 1, 65'535)},
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
         const Complaint complaint = boolean(wanted)(value);
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
      {"REDIS_SENTINEL_MASTER", queue, c.redis.sentinel.master, false, "the master's name there",
       text(c.redis.sentinel.master)},
      {"REDIS_SENTINEL_PASSWORD", queue, "", true, "the sentinels' password",
       secret(c.redis.sentinel.password)},
      {"REDIS_QUEUE_NAME", queue, c.redis.queue, false, "list the platform pushes jobs to",
       text(c.redis.queue)},
      {"QUEUE_ORDER", queue, "fifo", false,
       "fifo: jobs in the order they were pushed; fair: owners take turns",
       one_of<domain::QueueOrder>(c.redis.order, {{"fair", domain::QueueOrder::fair},
                                                  {"fifo", domain::QueueOrder::fifo}})},
      {"WAITING_LINES", queue, "true", false,
       "deployments in the queue are told their place in their logs", boolean(c.waiting_lines)},
      {"REDIS_CANCEL_CHANNEL_NAME", queue, c.redis.cancel_channel, false,
       "channel of cancel messages", text(c.redis.cancel_channel)},
  };
}

Rows platform_rows(Config& c) {
  return {
      {"API_URL", platform, "http://127.0.0.1:3000/api", false, "the platform's API",
       http_url(c.api_url)},
      {"API_KEY", platform, "", true, "the platform's WEBHOOK_API_KEY (required)",
       secret(c.api_key)},
      {"UNKNOWN_DEPLOYMENT_TIMEOUT", platform, "10m", false,
       "a deployment the platform does not know for so long, unlike others, is given up",
       duration(c.unknown_timeout, 1)},
      {"HELP_URL", platform, "", false,
       "pages about failures: a failed build's log names HELP_URL/KIND", http_url(c.help_url)},
  };
}

Rows registry_rows(Config& c, RawSettings& raw) {
  return {
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
       boolean(c.aws.endpoints.fips)},
      {"AWS_USE_DUALSTACK_ENDPOINT", registry, "false", false, "true: AWS's endpoints with IPv6",
       boolean(c.aws.endpoints.dual_stack)},
      {"AWS_ENDPOINT_URL_ECR", registry, "", false, "another ECR API endpoint",
       http_url(raw.ecr_endpoint)},
      {"AWS_ENDPOINT_URL", registry, "", false, "another endpoint for all of AWS",
       http_url(raw.any_endpoint)},
      {"AWS_ENDPOINT_URL_KMS", registry, "", false, "another KMS API endpoint",
       http_url(raw.kms_endpoint)},
      {"ECR_KEEP_IMAGES", registry, "1", false, "images a repository keeps",
       number(c.ecr_keep_images, 1, 1000)},
      {"IMAGE_REFERENCE", registry, "auto", false, "auto, tag (bare URI) or digest",
       one_of<ImageReference>(c.image_reference, {{"auto", ImageReference::automatic},
                                                  {"tag", ImageReference::tag},
                                                  {"digest", ImageReference::digest}})},
      {"ATTESTATIONS", registry, "off", false,
       "off, on or required: whether provenance is attached to images, and deployed without",
       one_of<domain::AttestationRule>(c.attestations,
                                       {{"off", domain::AttestationRule::off},
                                        {"on", domain::AttestationRule::on},
                                        {"required", domain::AttestationRule::required}})},
      {"BUILDER_ID", registry, "", false, "URI that names this platform in provenance",
       http_url(c.builder_id)},
      {"SIGNING_KEY", registry, "", false,
       "PEM file with the private key that signs images, or awskms:///KEY", text(raw.signing_key)},
      {"SIGNING_KEY_PASSWORD", registry, "", true, "of an encrypted SIGNING_KEY",
       secret(raw.signing_key_password)},
      {"SBOM_SCANNER", registry, "", false,
       "image that lists what is in images (BuildKit's scanner protocol); empty: none is scanned",
       text(c.sbom_scanner)},
      {"RECORD_DOWNLOADS", registry, "off", false,
       "on: provenance tells what steps of a standalone BuildKit download; they get its proxy",
       one_of<bool>(c.record_downloads, {{"off", false}, {"on", true}})},
  };
}

Rows engine_rows(Config& c, RawSettings& raw) {
  return {
      {"PLATFORMS", build, std::string(domain::k_default_platform), false,
       "what images are for; several, with commas between them, make one index of images",
       platform_list(c.platforms)},
      {"PLATFORM_EMULATION", build, "allow", false,
       "allow or refuse: steps for another machine than the engine's",
       one_of<bool>(c.platform_emulation, {{"allow", true}, {"refuse", false}})},
      {"IMAGE_COMPRESSION", build, c.image_compression.type, false,
       "gzip, estargz or zstd, also with a level (zstd:3)", compression(c.image_compression)},
      {"DOCKER_HOST", build, "unix:///var/run/docker.sock", false, "the engine that builds",
       engine_address(c.docker_host)},
      {"DOCKER_TLS_VERIFY", build, "", false,
       "as the docker command has it; refused, see BUILDKIT_TLS_CA", text(raw.docker_tls)},
      {"DOCKER_CERT_PATH", build, "", false, "the same", text(raw.docker_certificates)},
      {"DOCKER_CONTEXT", build, "", false, "refused: set DOCKER_HOST to the context's endpoint",
       text(raw.docker_context)},
      {"BUILDKIT_HOST", build, "", false,
       "a standalone BuildKit that builds instead, or PLATFORM=ADDRESS,… for several",
       buildkit_addresses(c.buildkits)},
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
  };
}

Rows source_rows(Config& c) {
  return {
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
      {"POLICY_FILE", build, "", false,
       "TOML file: images that builds may be made of, and instructions that are refused",
       policy_file(c.policy)},
      {"CACHE_SHARING", build, "service", false,
       "service, organization or all: who shares the cache mounts of Dockerfiles",
       one_of<domain::CacheSharing>(c.cache_sharing,
                                    {{"service", domain::CacheSharing::service},
                                     {"organization", domain::CacheSharing::organization},
                                     {"all", domain::CacheSharing::all}})},
      {"ENV_DELIVERY", build, "file,secret,arg", false,
       "how a service's variables reach its build: file (.env), secret (mounts), arg (ARG)",
       deliveries(c.delivery)},
      {"REUSE_IMAGES", build, "30d", false,
       "no build for what made an image so recently; 0: always build",
       duration(c.reuse_images, 0, std::chrono::days(365))},
      {"BASE_IMAGES", build, "latest", false,
       "latest or pinned: a service's builds take the base images that its last ones took",
       one_of<domain::BaseImages>(c.base_images, {{"latest", domain::BaseImages::latest},
                                                  {"pinned", domain::BaseImages::pinned}})},
      {"BASE_IMAGES_RENEW", build, "7d", false,
       "a pinned base image is renewed from its registry after this time; 0: never",
       duration(c.base_images_renew, 0, std::chrono::days(365))},
      {"IMAGE_LABELS", build, "off", false,
       "oci or off: labels of an image tell its repository, commit and base image",
       one_of<bool>(c.image_labels, {{"oci", true}, {"off", false}})},
      {"CUSTOMER_KNOBS", build, "all", false,
       "what customers may decide about their builds: all, none, or names, also with a limit "
       "(all,timeout=2h)",
       customer_knobs(c.customer_knobs)},
      {"SECRET_IN_IMAGE", build, "warn", false,
       "warn, refuse or off: what happens when a finished image holds a secret",
       one_of<domain::SecretInImage>(c.secret_in_image, {{"warn", domain::SecretInImage::warn},
                                                         {"refuse", domain::SecretInImage::refuse},
                                                         {"off", domain::SecretInImage::off}})},
      {"SECRET_VARIABLES", build, "", false,
       "names (with *) of variables whose values no image may hold; !NAME: it may",
       [&c](const std::string& value) -> Complaint {
         std::vector<std::string> words;
         if (Complaint complaint = list(words)(value); !complaint.empty()) {
           return complaint;
         }
         auto names = domain::SecretNames::parse(words);
         if (!names) {
           return names.error().message;
         }
         c.secret_names = *std::move(names);
         return {};
       }},
      {"SECRET_SEARCH_TIME", build, "30s", false, "how long an image is searched for secrets",
       duration(c.secret_search_time, 1)},
  };
}

Rows buildpacks_rows(Config& c) {
  return {
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
  };
}

Rows worker_rows(Config& c) {
  return {
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
      {"MAX_PARALLEL_BUILDS", worker, std::to_string(default_parallel_builds()), false,
       "builds at once", number(c.max_parallel_builds, 1, 64)},
      {"BUILD_TIMEOUT", build, "30m", false, "longest time of one deployment",
       duration(c.build_timeout, 1)},
      {"FETCH_TIMEOUT", build, "10m", false, "longest time to get the source",
       duration(c.fetch_timeout, 1)},
      {"SILENCE_TIMEOUT", build, "10m", false,
       "a build without a sign of life for so long is stopped; 0: never",
       duration(c.silence_timeout, 0)},
      {"DRAIN_TIMEOUT", worker, "10m", false, "at a stop, running builds get this long",
       duration(c.drain_timeout, 0)},
      {"LEASE_TIME", queue, default_lease(), false,
       "a worker silent for so long loses its jobs to others", duration(c.lease_time, 2)},
      {"ALLOW_UNSAFE_QUEUE", queue, "false", false,
       "work, with lesser promises, with a Redis that refuses scripts",
       boolean(c.allow_unsafe_queue)},
      {"MIN_FREE_DISK", worker, "10%,20GiB", false,
       "no job is taken with less free: a share, a size, or both (the lesser counts)",
       free_floor(c.admission.min_free_disk)},
  };
}

Rows build_rows(Config& c) {
  return {
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
       boolean(c.build_proxy)},
      {"STRICT_VERSIONS", build, "false", false,
       "true: no job is taken with a git, engine, BuildKit or runc that has known holes",
       boolean(c.strict_versions)},
      {"BUILD_CGROUP_PARENT", build, "", false, "control group that the steps of builds go below",
       absolute_path(c.build_cgroup_parent)},
      {"ENGINE_DIR", build, "", false, "folder of the engine's data, if on this machine",
       absolute_path(c.engine_dir)},
  };
}

/// A text that fits into a header field and is not guessed.
ValueReader token(Secret& target) {
  return [&target](const std::string& value) -> Complaint {
    constexpr std::size_t k_shortest = 16;
    constexpr std::size_t k_longest = 256;
    const auto fits = [](unsigned char ch) { return ch > ' ' && ch < 0x7F; };
    if (!value.empty() && (value.size() < k_shortest || value.size() > k_longest ||
                           !std::ranges::all_of(value, fits))) {
      return "must be 16 to 256 printable characters of ASCII without blanks";
    }
    target = Secret(value);
    return {};
  };
}

Rows history_rows(Config& c) {
  return {
      {"HISTORY_TOKEN", history, "", true,
       "whoever shows it may read the history at HTTP_LISTEN; empty: nobody",
       token(c.history_token)},
      {"HISTORY_ADDRESS", history, "", false,
       "URL under which others reach HTTP_LISTEN, for the history; default: made of it",
       http_url(c.history_address)},
      {"HISTORY_KEEP", history, "30d,1GiB", false,
       "days and disk space that the history of builds goes back; 0: none is kept",
       history_keep(c.history.keep)},
      {"HISTORY_DIR", history, "", false,
       "folder of the history of builds; empty: history, in WORK_DIR", text(c.history.folder)},
  };
}

Rows operation_rows(Config& c) {
  return {
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
      {"LOG_FORMAT", general, "text", false,
       "text, json or journald: how the service log is written",
       one_of<LogFormat>(c.log_format, {{"text", LogFormat::text},
                                        {"json", LogFormat::json},
                                        {"journald", LogFormat::journald}})},
  };
}

}  // namespace

std::vector<Setting> setting_rows(Config& config, RawSettings& raw) {
  Rows all;
  for (Rows& rows : std::array{redis_rows(config), platform_rows(config),
                               registry_rows(config, raw), engine_rows(config, raw),
                               source_rows(config), buildpacks_rows(config), worker_rows(config),
                               build_rows(config), operation_rows(config), history_rows(config)}) {
    std::ranges::move(rows, std::back_inserter(all));
  }
  return all;
}

}  // namespace builder::app
