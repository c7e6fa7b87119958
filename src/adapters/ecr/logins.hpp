#pragma once

#include "adapters/ecr/api.hpp"
#include "adapters/ecr/refreshed_value.hpp"
#include "base/secret_store.hpp"
#include "base/sync.hpp"
#include "ports/registry_login.hpp"

#include <set>
#include <string>

namespace builder::adapters::ecr {

/// The login of our own ECR registry: a token of ECR's API, kept for half of its life and entered
/// into `secrets` as long as anybody uses it. No other host gets it. `api` and `secrets` outlive
/// it.
class Logins final : public ports::RegistryLogins {
 public:
  Logins(Api& api, SecretStore& secrets) : api_(api), secrets_(secrets) {}

  /// nullptr for every host that ECR has not named as ours.
  Result<ports::SharedLogin> login(const ports::JobContext& job, const std::string& host) override;
  void renew(const std::string& host, const ports::SharedLogin& refused) override;
  /// Where ECR says that our registry is.
  Result<std::string> own_host(const ports::JobContext& job);
  /// ECR has named a repository there: with some endpoints its host is another than the token's.
  void add_host(const std::string& host);

 private:
  using Kept = RefreshedValue<ports::RegistryLogin>;

  Result<Kept::Fetched> fetch(const ports::JobContext& job);

  Api& api_;
  SecretStore& secrets_;
  Kept token_;
  Sync<std::set<std::string>> hosts_;
};

}  // namespace builder::adapters::ecr
