#include "adapters/oci/docker_config.hpp"

#include "adapters/oci/configured_logins.hpp"
#include "adapters/oci/reference.hpp"
#include "base/json.hpp"
#include "base/subprocess.hpp"
#include "base/sync.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <map>
#include <utility>

namespace builder::adapters::oci {

namespace {

using nlohmann::json;
using ports::SharedLogin;

/// Under which docker keeps the login of Docker Hub.
constexpr std::string_view k_hub_key = "https://index.docker.io/v1/";
/// A person may have to unlock a key ring.
constexpr std::chrono::seconds k_helper_limit{60};
constexpr std::size_t k_most_output = 64U * 1024;

/// A part of a program's name.
bool is_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.';
  });
}

class DockerConfigLogins final : public ports::RegistryLogins {
 public:
  DockerConfigLogins(const json& config, std::vector<std::string> environment)
      : environment_(std::move(environment)), store_(text_of(config, "credsStore")) {
    if (const auto helpers = config.find("credHelpers");
        helpers != config.end() && helpers->is_object()) {
      for (const auto& [host, name] : helpers->items()) {
        if (name.is_string()) {
          helpers_[api_host_of(host)] = name.get<std::string>();
        }
      }
    }
    if (const auto auths = config.find("auths"); auths != config.end() && auths->is_object()) {
      for (const auto& [key, entry] : auths->items()) {
        // One by one: docker leaves empty ones for a helper's.
        const auto one = parse_auths(json{{"auths", {{key, entry}}}}.dump());
        for (const auto& [host, login] : one.value_or(LoginTable())) {
          written_[host] = std::make_shared<const ports::RegistryLogin>(login);
        }
      }
    }
  }

  Result<SharedLogin> login(const ports::JobContext& job, const std::string& host) override {
    const auto own = helpers_.find(host);
    const std::string& helper = own == helpers_.end() ? store_ : own->second;
    if (is_name(helper)) {
      BUILDER_TRY_ASSIGN(const SharedLogin kept, asked(job, helper, host));
      if (kept != nullptr || own != helpers_.end()) {
        return kept;
      }
    }
    const auto written = written_.find(host);
    return written == written_.end() ? nullptr : written->second;
  }

  void renew(const std::string& host, const SharedLogin& refused) override {
    auto answers = answers_.lock();
    if (const auto found = answers->find(host);
        found != answers->end() && found->second == refused) {
      answers->erase(found);
    }
  }

 private:
  Result<SharedLogin> asked(const ports::JobContext& job, const std::string& helper,
                            const std::string& host) {
    auto answers = answers_.lock();
    if (const auto found = answers->find(host); found != answers->end()) {
      return found->second;
    }
    std::string out;
    const auto done = run_process(
        {.arguments = {"docker-credential-" + helper, "get"},
         .environment = environment_,
         .input = host == k_docker_hub ? std::string(k_hub_key) : host},
        [&out](std::string_view part) {
          out += part.substr(0, k_most_output - std::min(k_most_output, out.size()));
        },
        [](std::string_view) {}, job.stop,
        std::min(job.deadline, std::chrono::steady_clock::now() + k_helper_limit));
    if (!done) {
      return std::unexpected(Error(done.error()).with_context("docker-credential-" + helper));
    }
    SharedLogin login;
    if (const auto answer = parse_json(out); done->exit_code == 0 && answer.is_object()) {
      auto said = ports::RegistryLogin{.username = text_of(answer, "Username"),
                                       .password = Secret(text_of(answer, "Secret"))};
      if (!said.username.empty() && said.username != "<token>" && !said.password.empty()) {
        login = std::make_shared<const ports::RegistryLogin>(std::move(said));
      }
    }
    answers->emplace(host, login);
    return login;
  }

  const std::vector<std::string> environment_;
  const std::string store_;
  std::map<std::string, std::string, std::less<>> helpers_;
  std::map<std::string, SharedLogin, std::less<>> written_;
  Sync<std::map<std::string, SharedLogin>>
      answers_;  ///< Locked while a helper runs: one at a time.
};

}  // namespace

std::string api_host_of(std::string_view key) {
  if (const auto mark = key.find("://"); mark != std::string_view::npos) {
    key.remove_prefix(mark + 3);
  }
  const std::string host(key.substr(0, key.find('/')));
  return host == "index.docker.io" || host == "docker.io" ? "registry-1.docker.io" : host;
}

Result<std::unique_ptr<ports::RegistryLogins>> make_docker_config_logins(
    std::string_view config, std::vector<std::string> environment) {
  const auto parsed = parse_json(config.empty() ? "{}" : config);
  if (!parsed.is_object()) {
    return failure(ErrorKind::invalid_input, "is no JSON object");
  }
  return std::make_unique<DockerConfigLogins>(parsed, std::move(environment));
}

}  // namespace builder::adapters::oci
