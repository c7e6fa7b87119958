#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"

#include <string>
#include <vector>

namespace builder::adapters::cnb {

/// One file of a service binding: `/platform/bindings/<binding>/<key>` in the build.
struct BindingValue {
  std::string binding;
  std::string key;
  Secret value;
};

/// Reads `<folder>/<binding>/<key>` (at least `type` in each binding), as the service binding
/// specification has it. Names are of a form that can stand in a path; values are of at most 64
/// KiB. Links are followed: Kubernetes mounts secrets that way. An empty `folder` has none.
Result<std::vector<BindingValue>> read_bindings(const std::string& folder);

/// The binding that makes buildpacks download from a mirror: type `dependency-mirror`. The address
/// may hold a password and `{originalHost}`.
std::vector<BindingValue> mirror_binding(const Secret& address);

}  // namespace builder::adapters::cnb
