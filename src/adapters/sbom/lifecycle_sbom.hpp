#pragma once

#include "adapters/oci/client.hpp"
#include "base/result.hpp"
#include "domain/sbom.hpp"
#include "ports/job_context.hpp"

#include <vector>

namespace builder::adapters::sbom {

/// What buildpacks and their lifecycle wrote about an image that they made, in a layer of its own:
/// https://github.com/buildpacks/spec/blob/platform/v0.13/platform.md#bill-of-materials. SPDX and
/// CycloneDX are read; what is neither is passed over and told the job's log. Empty: there is no
/// such layer.
/// Errors: as of `Client`; `conflict`: a layer that cannot be read, or too much in it.
Result<std::vector<domain::Sbom>> read_lifecycle_sbom(oci::Client& client,
                                                      const ports::JobContext& job,
                                                      const oci::Image& image);

}  // namespace builder::adapters::sbom
