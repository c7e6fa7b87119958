#pragma once

#include "base/result.hpp"
#include "ports/registry_login.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::oci {

/// `https://index.docker.io/v1/` and the like, as Docker writes them: the host of the registry's
/// API.
std::string api_host_of(std::string_view key);

/// The logins of a person who works with docker, as `docker login` keeps them: those written down
/// in `auths`, and those that a credential helper has (`credHelpers`, `credsStore`: programs called
/// `docker-credential-NAME`, https://github.com/docker/docker-credential-helpers). A helper is run
/// when its registry asks who we are, with `environment` (`NAME=value`), and what it says is kept.
/// A login that is a token of docker's own counts as none.
///
/// `config` is the text of `config.json`; empty: there is none. `invalid_input`: it is no JSON
/// object.
Result<std::unique_ptr<ports::RegistryLogins>> make_docker_config_logins(
    std::string_view config, std::vector<std::string> environment);

}  // namespace builder::adapters::oci
