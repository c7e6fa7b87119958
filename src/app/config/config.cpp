#include "app/config/config.hpp"

#include "adapters/http/proxy.hpp"
#include "adapters/oci/reference.hpp"
#include "app/config/dotenv_file.hpp"
#include "app/config/setting_rows.hpp"
#include "app/config/setting_values.hpp"
#include "base/ascii.hpp"
#include "base/spelling.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <system_error>
#include <utility>

namespace builder::app {

namespace {

void check_engine(LoadedConfig& loaded, const adapters::buildkit::TlsFiles& tls) {
  Config& c = loaded.config;
  const std::size_t before = loaded.errors.size();
  for (const auto& [name, value] :
       {std::pair("BUILDKIT_TLS_CA", tls.ca), std::pair("BUILDKIT_TLS_CERT", tls.certificate),
        std::pair("BUILDKIT_TLS_KEY", tls.key),
        std::pair("BUILDKIT_TLS_SERVER_NAME", tls.server_name)}) {
    if (!value.empty() && std::ranges::all_of(c.buildkits, [](const BuildkitAddress& buildkit) {
          return buildkit.address.is_socket();
        })) {
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

void check_combinations(LoadedConfig& loaded, const RawSettings& raw) {
  const Config& c = loaded.config;
  const bool asks_engine = c.buildkits.empty();
  for (const auto& [name, value] : {std::pair("DOCKER_TLS_VERIFY", raw.docker_tls),
                                    std::pair("DOCKER_CERT_PATH", raw.docker_certificates)}) {
    if (!value.empty() && asks_engine && !c.docker_host.is_socket()) {
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

/// The text of a file that only its owner should read.
Result<Secret> read_key_file(const std::string& path) {
  constexpr std::size_t k_longest = 64U << 10U;
  std::ifstream file(path, std::ios::binary);
  std::string text(k_longest, '\0');
  if (!file || std::filesystem::is_directory(path)) {
    return failure(ErrorKind::invalid_input, path + " cannot be read");
  }
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  Secret key(text.substr(0, static_cast<std::size_t>(file.gcount())));
  OPENSSL_cleanse(text.data(), text.size());
  return key;
}

Result<> read_signing_key(Config& c, const std::string& place, const Secret& password) {
  BUILDER_TRY_ASSIGN(c.kms_key, adapters::ecr::parse_kms_key(place));
  if (c.kms_key || place.empty()) {
    return {};
  }
  BUILDER_TRY_ASSIGN(const Secret text, read_key_file(place));
  auto key = adapters::attestation::PrivateKey::parse(text, password);
  if (!key) {
    return failure(key.error().kind, place + " " + key.error().message);
  }
  c.signing_key = *std::move(key);
  return {};
}

void check_attestations(LoadedConfig& loaded, const RawSettings& raw) {
  Config& c = loaded.config;
  const bool is_off = c.attestations == domain::AttestationRule::off;
  if (const auto read = read_signing_key(c, raw.signing_key, raw.signing_key_password); !read) {
    loaded.errors.push_back({Concern::registry, "SIGNING_KEY: " + read.error().message});
  } else if (is_off && !raw.signing_key.empty()) {
    loaded.warnings.emplace_back("SIGNING_KEY signs nothing while ATTESTATIONS is off");
  }
  if (c.signing_key) {
    using std::filesystem::perms;
    std::error_code unknown;
    const perms mode = std::filesystem::status(raw.signing_key, unknown).permissions();
    if (!unknown && (mode & perms::others_read) != perms::none) {
      loaded.warnings.push_back("SIGNING_KEY: every user of this machine can read " +
                                raw.signing_key);
    }
  }
  if (is_off && !c.sbom_scanner.empty()) {
    loaded.warnings.emplace_back("SBOM_SCANNER scans nothing while ATTESTATIONS is off");
  }
  if (c.record_downloads && (is_off || c.buildkits.empty())) {
    loaded.warnings.emplace_back(is_off
                                     ? "RECORD_DOWNLOADS records nothing while ATTESTATIONS is off"
                                     : "RECORD_DOWNLOADS records nothing without BUILDKIT_HOST");
    c.record_downloads = false;
  }
  if (const auto scanner = adapters::oci::parse_reference(c.sbom_scanner);
      !c.sbom_scanner.empty() && !scanner) {
    loaded.errors.push_back({Concern::registry, "SBOM_SCANNER: " + scanner.error().message});
  }
  if (!is_off && c.builder_id.empty()) {
    loaded.errors.push_back(
        {Concern::registry,
         "ATTESTATIONS needs BUILDER_ID: a URI of yours that names this platform in provenance"});
  }
}

/// An image of the settings that the policy refuses would fail every build with buildpacks.
void check_policy(LoadedConfig& loaded) {
  const Config& c = loaded.config;
  if (c.policy == nullptr) {
    return;
  }
  for (const auto& [name, image] :
       {std::pair("CNB_BUILDER", c.cnb_builder), std::pair("CNB_RUN_IMAGE", c.cnb_run_image)}) {
    const auto reference = adapters::oci::parse_reference(image);
    if (const auto rule = reference ? c.policy->rule_for(*reference) : nullptr; !rule) {
      loaded.warnings.push_back(fmt::format("POLICY_FILE refuses {}: {}", name, rule.error()));
    }
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

/// A name of the file that is no setting's, but nearly. Others are for other programs.
void check_names(LoadedConfig& loaded, const DotenvValues& file) {
  constexpr std::size_t k_near = 2;
  for (const auto& [name, value] : file) {
    const std::string upper = upper_case(name);
    const auto nearest = std::ranges::min_element(
        loaded.settings, {},
        [&](const EffectiveSetting& setting) { return spelling_distance(upper, setting.name); });
    if (nearest->name != name && spelling_distance(upper, nearest->name) <= k_near) {
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

/// The text of the working directory's `.env`; empty where there is none.
Result<std::string> dotenv_here() {
  std::ostringstream dotenv;
  std::error_code error;
  const auto status = std::filesystem::status(".env", error);
  if (status.type() != std::filesystem::file_type::not_found) {
    const std::ifstream file(".env", std::ios::binary);
    if (!file || std::filesystem::is_directory(status)) {
      return failure(ErrorKind::denied, ".env in the working directory cannot be read");
    }
    dotenv << file.rdbuf();
  }
  return dotenv.str();
}

}  // namespace

std::optional<std::string> process_variable(std::string_view name) {
  const char* value = std::getenv(std::string(name).c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::vector<NamedSecret> secrets_of(const Config& config) {
  std::vector<NamedSecret> secrets = config.secrets;
  for (const auto& [host, login] : config.registry_logins) {
    secrets.push_back({"password for " + host, login.password});
  }
  for (std::string& password : adapters::http::Proxies::of_process().passwords()) {
    secrets.push_back({"password of a proxy", Secret(std::move(password))});
  }
  return secrets;
}

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

bool is_image_setting(std::string_view name) {
  constexpr auto k_names = std::to_array<std::string_view>(
      {"ENV_DELIVERY", "IMAGE_EPOCH", "IMAGE_COMPRESSION", "PLATFORMS", "CNB_BUILDER",
       "CNB_ALLOWED_BUILDERS", "CNB_RUN_IMAGE", "CNB_LIFECYCLE_IMAGE", "CNB_USER_ENV",
       "CNB_NODE_VERSION", "IMAGE_LABELS"});
  return std::ranges::find(k_names, name) != k_names.end();
}

LoadedConfig load_config(const EnvironmentLookup& environment, std::string_view dotenv) {
  LoadedConfig loaded;
  RawSettings raw;
  const auto file = parse_dotenv(dotenv, ".env", loaded.warnings);
  for (const Setting& setting : setting_rows(loaded.config, raw)) {
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
    // An address could hold a password; none of these is one.
    if (is_image_setting(setting.name) && !value.empty() && !value.contains("://")) {
      loaded.config.image_settings.emplace_back(setting.name, value);
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
  if (loaded.config.history.folder.empty()) {
    loaded.config.history.folder = loaded.config.work_dir + "/history";
  }
  std::ranges::find(loaded.settings, std::string_view("AWS_ACCESS_KEY_ID"), &EffectiveSetting::name)
      ->help = "credentials in force: " + adapters::ecr::describe_credentials(loaded.config.aws);
  loaded.config.ecr_endpoint = raw.ecr_endpoint.empty() ? raw.any_endpoint : raw.ecr_endpoint;
  loaded.config.kms_endpoint = raw.kms_endpoint.empty() ? raw.any_endpoint : raw.kms_endpoint;
  check_combinations(loaded, raw);
  check_attestations(loaded, raw);
  check_policy(loaded);
  check_proxy(loaded, environment);
  check_names(loaded, file);
  check_engine(loaded, raw.tls);
  return loaded;
}

LoadedConfig load_config() {
  const auto dotenv = dotenv_here();
  LoadedConfig loaded = load_config(process_variable, dotenv.value_or(""));
  if (!dotenv) {
    loaded.errors.push_back({Concern::general, dotenv.error().message});
  }
  return loaded;
}

EnvironmentLookup settings_around() {
  std::vector<std::string> problems;
  return [file = parse_dotenv(dotenv_here().value_or(""), ".env", problems)](
             std::string_view name) -> std::optional<std::string> {
    if (auto value = process_variable(name)) {
      return value;
    }
    const auto found = file.find(name);
    return found == file.end() ? std::nullopt : std::optional(found->second);
  };
}

}  // namespace builder::app
