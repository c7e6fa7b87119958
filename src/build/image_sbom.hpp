#pragma once

#include "base/result.hpp"
#include "ports/attestations.hpp"
#include "ports/job_context.hpp"
#include "ports/registry.hpp"
#include "ports/sbom_source.hpp"

#include <chrono>
#include <string_view>

namespace builder::build {

/// A scan may take this long.
inline constexpr std::chrono::seconds k_sbom_limit{300};

/// An image whose content is to be described.
struct SbomTask {
  ports::PublishedImage image;
  ports::ImageMaker maker{};
};

/// How it ended.
enum class SbomResult {
  attached,
  there,  ///< One was attached before.
  none,   ///< Nobody describes this image.
};

/// As metrics have it: attached, there, none.
std::string_view to_string(SbomResult result);

/// Attaches to an image, and to each of an index, what is in it, unless that was done before.
/// Nobody but the caller's `job` limits how long it takes. Errors: as of `SbomSource` and
/// `Attestations`. What is attached by then stays.
Result<SbomResult> attach_sboms(ports::SbomSource& source, ports::Attestations& attestations,
                                const ports::JobContext& job, const SbomTask& task);

}  // namespace builder::build
