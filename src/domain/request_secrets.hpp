#pragma once

#include "base/secret_store.hpp"
#include "domain/deployment_request.hpp"

#include <vector>

namespace builder::domain {

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

}  // namespace builder::domain
