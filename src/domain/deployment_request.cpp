#include "domain/deployment_request.hpp"

#include "base/ascii.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <utility>

namespace builder::domain {

namespace {

using nlohmann::json;

constexpr std::size_t k_largest_job = 1u << 20;
constexpr std::size_t k_most_variables = 1'000;
constexpr std::size_t k_longest_value = 64 * 1024;
constexpr std::size_t k_longest_text = 2'048;

bool is_deployment_id(std::string_view id) {
  const auto word = [](unsigned char c) { return std::isalnum(c) != 0 || c == '_' || c == '-'; };
  return !id.empty() && id.size() <= 128 && std::isalnum(static_cast<unsigned char>(id[0])) != 0 &&
         std::ranges::all_of(id, word);
}

/// Part of an ECR repository name: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`.
bool is_service_id(std::string_view id) {
  if (id.empty() || id.size() > 128) {
    return false;
  }
  bool after_word = false;
  for (std::size_t i = 0; i < id.size();) {
    const auto c = static_cast<unsigned char>(id[i]);
    if (std::islower(c) != 0 || std::isdigit(c) != 0) {
      after_word = true;
      ++i;
      continue;
    }
    std::size_t run = 0;
    while (i + run < id.size() && id[i + run] == id[i]) {
      ++run;
    }
    const bool separator = (c == '.' && run == 1) || (c == '_' && run <= 2) || c == '-';
    if (!after_word || !separator) {
      return false;
    }
    after_word = false;
    i += run;
  }
  return after_word;
}

/// The reason a job is refused, in both voices.
std::unexpected<Error> bad_field(std::string_view field, std::string_view problem) {
  Error error{.kind = ErrorKind::invalid_input,
              .message = fmt::format("job field '{}' {}", field, problem)};
  error.customer = fmt::format(
      "The deployment request is not valid: '{}' {}; please correct the service's settings", field,
      problem);
  return std::unexpected(std::move(error));
}

/// Reads fields of one JSON object; null equals absent. The first wrong one is remembered.
class Fields {
 public:
  Fields(const json& object, std::string path) : object_(object), path_(std::move(path)) {}

  [[nodiscard]] const json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }

  [[nodiscard]] std::string name(std::string_view field) const {
    return path_.empty() ? std::string(field) : path_ + "." + std::string(field);
  }

  Result<std::string> text(const char* field, std::size_t limit = k_longest_text) const {
    const json* value = find(field);
    if (value == nullptr) {
      return std::string();
    }
    if (!value->is_string()) {
      return bad_field(name(field), "must be a text");
    }
    auto text = value->get<std::string>();
    if (text.size() > limit) {
      return bad_field(name(field), fmt::format("is longer than {} bytes", limit));
    }
    return text;
  }

 private:
  const json& object_;
  std::string path_;
};

Result<json> parse_bounded(std::string_view text) {
  if (nests_deeper(text, k_deepest_json)) {
    return bad_field("job", "is nested too deeply");
  }
  json parsed = parse_json(text);
  if (parsed.is_discarded() || !parsed.is_object()) {
    return failure(ErrorKind::invalid_input, "the queue element is not a JSON object");
  }
  return parsed;
}

Result<std::optional<GitProvider>> read_provider(const json& job) {
  const json* value = Fields(job, "").find("gitProvider");
  if (value == nullptr) {
    return std::nullopt;
  }
  if (!value->is_object()) {
    return bad_field("gitProvider", "must be an object");
  }
  const Fields fields(*value, "gitProvider");
  GitProvider provider;
  BUILDER_TRY_ASSIGN(std::string type, fields.text("type"));
  type = upper_case(type);
  if (type == "GITHUB") {
    const json* account = fields.find("githubAccount");
    if (account != nullptr) {
      if (!account->is_object()) {
        return bad_field("gitProvider.githubAccount", "must be an object");
      }
      const Fields account_fields(*account, "gitProvider.githubAccount");
      BUILDER_TRY_ASSIGN(provider.username, account_fields.text("username"));
      BUILDER_TRY_ASSIGN(std::string token, account_fields.text("accessToken", 8'192));
      provider.password = Secret(std::move(token));
    }
    return provider;
  }
  if (type != "CUSTOM") {
    return bad_field("gitProvider.type", "must be GITHUB or CUSTOM");
  }
  provider.type = GitProviderType::custom;
  BUILDER_TRY_ASSIGN(provider.url, fields.text("url"));
  BUILDER_TRY_ASSIGN(provider.username, fields.text("username"));
  BUILDER_TRY_ASSIGN(std::string password, fields.text("password", 8'192));
  provider.password = Secret(std::move(password));
  return provider;
}

Result<std::vector<EnvironmentVariable>> read_environment(const json& job) {
  std::vector<EnvironmentVariable> variables;
  const json* list = Fields(job, "").find("environmentVariables");
  if (list == nullptr) {
    return variables;
  }
  if (!list->is_array()) {
    return bad_field("environmentVariables", "must be a list");
  }
  if (list->size() > k_most_variables) {
    return bad_field("environmentVariables",
                     fmt::format("has more than {} entries", k_most_variables));
  }
  for (const json& entry : *list) {
    if (!entry.is_object()) {
      return bad_field("environmentVariables", "must hold objects with key and value");
    }
    const Fields fields(entry, "environmentVariables");
    if (fields.find("key") == nullptr) {
      return bad_field("environmentVariables.key", "is missing");
    }
    EnvironmentVariable variable;
    BUILDER_TRY_ASSIGN(variable.key, fields.text("key"));
    BUILDER_TRY_ASSIGN(variable.value, fields.text("value", k_longest_value));
    variables.push_back(std::move(variable));
  }
  return variables;
}

Result<std::vector<PortMapping>> read_ports(const json& job) {
  std::vector<PortMapping> ports;
  const json* list = Fields(job, "").find("ports");
  if (list == nullptr) {
    return ports;
  }
  if (!list->is_array() || list->size() > 1'000) {
    return bad_field("ports", "must be a list");
  }
  const auto port = [](const json& entry, const char* field) -> Result<std::uint16_t> {
    const auto found = entry.find(field);
    if (found == entry.end() || !found->is_number_integer() || *found < 1 || *found > 65'535) {
      return bad_field(std::string("ports.") + field, "must be a number from 1 to 65535");
    }
    return found->get<std::uint16_t>();
  };
  for (const json& entry : *list) {
    if (!entry.is_object()) {
      return bad_field("ports", "must hold objects");
    }
    PortMapping mapping;
    BUILDER_TRY_ASSIGN(mapping.service_port, port(entry, "servicePort"));
    BUILDER_TRY_ASSIGN(mapping.container_port, port(entry, "containerPort"));
    ports.push_back(mapping);
  }
  return ports;
}

Result<DeploymentRequest> read_request(const json& job, const std::optional<DeploymentId>& id,
                                       const std::optional<ServiceId>& service) {
  if (!id) {
    return bad_field("deploymentId", "is missing or malformed");
  }
  if (!service) {
    return bad_field("serviceId", "is missing or malformed");
  }
  DeploymentRequest request;
  request.deployment_id = *id;
  request.service_id = *service;
  const Fields fields(job, "");
  BUILDER_TRY_ASSIGN(request.commit_sha, fields.text("commitSha"));
  BUILDER_TRY_ASSIGN(request.branch, fields.text("branch"));
  BUILDER_TRY_ASSIGN(request.repository_name, fields.text("repositoryName"));
  BUILDER_TRY_ASSIGN(request.runtime_file_path, fields.text("runtimeFilePath"));
  BUILDER_TRY_ASSIGN(request.git_provider, read_provider(job));
  BUILDER_TRY_ASSIGN(request.environment, read_environment(job));
  BUILDER_TRY_ASSIGN(request.ports, read_ports(job));
  return request;
}

}  // namespace

ParsedJob parse_job(std::string_view text) {
  if (text.size() > k_largest_job) {
    return {{}, {}, bad_field("job", "is larger than 1 MiB")};
  }
  auto job = parse_bounded(text);
  if (!job) {
    return {{}, {}, std::unexpected(std::move(job).error())};
  }
  const auto identifier = [&](const char* field) -> std::string {
    const auto found = job->find(field);
    return found != job->end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  ParsedJob parsed{{}, {}, failure(ErrorKind::internal, "not read")};
  parsed.deployment_id = parse_deployment_id(identifier("deploymentId"));
  if (std::string id = identifier("serviceId"); is_service_id(id)) {
    parsed.service_id = ServiceId(std::move(id));
  }
  parsed.request = read_request(*job, parsed.deployment_id, parsed.service_id);
  return parsed;
}

std::optional<DeploymentId> parse_deployment_id(std::string text) {
  return is_deployment_id(text) ? std::optional(DeploymentId(std::move(text))) : std::nullopt;
}

}  // namespace builder::domain
