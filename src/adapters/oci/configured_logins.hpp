#pragma once

#include "base/result.hpp"
#include "ports/registry_login.hpp"

#include <map>
#include <string>
#include <string_view>

namespace builder::adapters::oci {

/// Logins by the host of the registry's API.
using LoginTable = std::map<std::string, ports::RegistryLogin, std::less<>>;

/// The `auths` of a Docker `config.json`: `{"auths": {"ghcr.io": {"auth": "<base64 of
/// user:password>"}}}`, or `username` and `password`. `invalid_input` names what cannot be used:
/// helpers are programs and are not run, identity tokens belong to one client.
Result<LoginTable> parse_auths(std::string_view text);

/// The platform's own registry, and besides it what the operator has written down.
class ConfiguredLogins final : public ports::RegistryLogins {
 public:
  /// `own` outlives it; its hosts are its own, whatever the table says of them.
  ConfiguredLogins(ports::RegistryLogins& own, LoginTable table);

  Result<ports::SharedLogin> login(const ports::JobContext& job, const std::string& host) override;
  void renew(const std::string& host, const ports::SharedLogin& refused) override;

 private:
  ports::RegistryLogins& own_;
  std::map<std::string, ports::SharedLogin, std::less<>> table_;
};

}  // namespace builder::adapters::oci
