#pragma once

#include "adapters/oci/client.hpp"
#include "ports/registry.hpp"

#include <memory>

namespace builder::adapters::oci {

/// One repository of any registry, as a person names it. It makes no repositories: most registries
/// do so themselves at the first push. `client` outlives it.
std::unique_ptr<ports::Registry> make_plain_registry(ports::Repository repository, Client& client);

/// Nobody's own logins: what is configured is all there is.
class NoLogins final : public ports::RegistryLogins {
 public:
  Result<ports::SharedLogin> login(const ports::JobContext& /*job*/,
                                   const std::string& /*host*/) override {
    return nullptr;
  }

  void renew(const std::string& /*host*/, const ports::SharedLogin& /*refused*/) override {}
};

}  // namespace builder::adapters::oci
