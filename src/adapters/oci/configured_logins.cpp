#include "adapters/oci/configured_logins.hpp"

#include "adapters/oci/docker_config.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <utility>

namespace builder::adapters::oci {
namespace {

using nlohmann::json;

Result<ports::RegistryLogin> login_of(const std::string& key, const json& entry) {
  const auto bad = [&key](std::string_view what) {
    return failure(ErrorKind::invalid_input,
                   fmt::format("auths of '{}': {}", printable_line(key), what));
  };
  if (!entry.is_object()) {
    return bad("is no object");
  }
  if (!text_of(entry, "identitytoken").empty() || !text_of(entry, "registrytoken").empty()) {
    return bad("tokens of a client cannot be used; give a user name and a password");
  }
  ports::RegistryLogin login{.username = text_of(entry, "username"),
                             .password = Secret(text_of(entry, "password"))};
  if (const std::string auth = text_of(entry, "auth"); !auth.empty()) {
    const auto decoded = base64_decode(auth);
    const auto colon = decoded ? decoded->find(':') : std::string::npos;
    if (colon == std::string::npos) {
      return bad("'auth' is not the base64 of user:password");
    }
    login = {.username = decoded->substr(0, colon), .password = Secret(decoded->substr(colon + 1))};
  }
  if (login.username.empty() || login.password.empty()) {
    return bad("holds no user name and password (credential helpers are not run)");
  }
  return login;
}

}  // namespace

Result<LoginTable> parse_auths(std::string_view text) {
  const auto config = parse_json(text);
  if (!config.is_object()) {
    return failure(ErrorKind::invalid_input, "is no JSON object");
  }
  const auto auths = config.find("auths");
  if (auths == config.end() || !auths->is_object()) {
    return failure(ErrorKind::invalid_input, "has no object 'auths'");
  }
  LoginTable table;
  for (const auto& [key, entry] : auths->items()) {
    BUILDER_TRY_ASSIGN(ports::RegistryLogin login, login_of(key, entry));
    table.insert_or_assign(api_host_of(key), std::move(login));
  }
  return table;
}

ConfiguredLogins::ConfiguredLogins(ports::RegistryLogins& own, LoginTable table) : own_(own) {
  for (auto& [host, login] : table) {
    table_.emplace(host, std::make_shared<const ports::RegistryLogin>(std::move(login)));
  }
}

Result<ports::SharedLogin> ConfiguredLogins::login(const ports::JobContext& job,
                                                   const std::string& host) {
  auto own = own_.login(job, host);
  if (own && *own != nullptr) {
    return own;
  }
  const auto found = table_.find(host);
  return found == table_.end() ? own : found->second;
}

void ConfiguredLogins::renew(const std::string& host, const ports::SharedLogin& refused) {
  own_.renew(host, refused);
}

}  // namespace builder::adapters::oci
