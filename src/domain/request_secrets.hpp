#pragma once

#include "base/secret_store.hpp"
#include "domain/deployment_request.hpp"

#include <functional>
#include <string_view>
#include <vector>

namespace builder::domain {

/// What the name of a variable's secret begins with; the variable's own stands behind.
inline constexpr std::string_view k_of_variable = "variable ";

/// The parts of a request that must never be shown; the surest secrets come first.
///
/// - The git credentials, also joined as git and HTTP send them.
/// - The values of variables whose name says secret (TOKEN, PASSWORD, KEY, …), except plain web
///   addresses.
/// - Of every other value: passwords of URLs, the values of names that say secret inside it
///   (`Password=…;`), each part of a path or an address that looks random; and the value as a whole
///   when it is long enough and hard to guess, and no path, address, number or version.
///
/// Everything else is configuration that customers want to read in their log: `production`, `3000`,
/// `https://example.com`, `shop`, `/var/lib/app`, `1.2.3`.
std::vector<NamedSecret> secrets_of(const DeploymentRequest& request);

/// Whether the name of a variable says that its value is a secret: TOKEN, PASSWORD, KEY, …
bool is_secret_name(std::string_view name);

/// Those of `secrets_of` that are secrets for sure: the git credentials, and what a name says is
/// one. `names` decides about the name of a whole variable.
std::vector<NamedSecret> sure_secrets_of(
    const DeploymentRequest& request,
    const std::function<bool(std::string_view name)>& names = is_secret_name);

}  // namespace builder::domain
