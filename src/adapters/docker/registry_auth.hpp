#pragma once

#include "base/secret.hpp"
#include "ports/registry_login.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::docker {

/// The value of the Engine's X-Registry-Auth header: base64 of a JSON object with the URL-safe
/// alphabet **and** padding. Anything else the Engine silently takes for "no credentials", so that
/// an encoder's fault looks like a wrong password.
Secret registry_auth_header(const ports::RegistryLogin& login);

std::string base64_url(std::string_view bytes);

}  // namespace builder::adapters::docker
