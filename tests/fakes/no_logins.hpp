#pragma once

#include "ports/registry_login.hpp"

#include <string>

namespace builder::fakes {

class NoLogins final : public ports::RegistryLogins {
 public:
  Result<ports::SharedLogin> login(const ports::JobContext&, const std::string&) override {
    return nullptr;
  }

  void renew(const std::string&, const ports::SharedLogin&) override {}
};

}  // namespace builder::fakes
