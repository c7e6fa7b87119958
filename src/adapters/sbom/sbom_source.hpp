#pragma once

#include "adapters/buildkit/client/solver.hpp"
#include "adapters/oci/client.hpp"
#include "ports/sbom_source.hpp"

#include <memory>
#include <string>

namespace builder::adapters::sbom {

/// What buildpacks wrote about their images, and of all others what a scanner finds: an image
/// reference; empty: nothing. `solver` and `client` outlive it.
std::unique_ptr<ports::SbomSource> make_sbom_source(std::string scanner, buildkit::Solver& solver,
                                                    oci::Client& client);

}  // namespace builder::adapters::sbom
