#pragma once

#include "adapters/oci/client.hpp"
#include "ports/registry.hpp"

#include <memory>

namespace builder::adapters::oci {

/// One repository of any registry, as a person names it. It makes no repositories: most registries
/// do so themselves at the first push. `client` outlives it.
std::unique_ptr<ports::Registry> make_plain_registry(ports::Repository repository, Client& client);

}  // namespace builder::adapters::oci
