#pragma once

#include "adapters/cnb/platform.hpp"
#include "ports/buildpacks_builder.hpp"

#include <functional>
#include <memory>

namespace builder::adapters::cnb {

/// Whether the image for `BuildpacksSpec::platform`, a single one, could be built; an error with
/// the customer's line says why not. Called by one thread at a time.
using CanBuild =
    std::function<Result<>(const ports::JobContext& job, const ports::BuildpacksSpec& spec)>;

/// Images for several platforms: `one` builds that for each, at once, and they become one index.
///
/// The lifecycle puts an image under a tag, so each has one of its own (`TAG-linux-arm64`) until
/// the index is there, to which those tags then lead: an image that has a tag counts for ECR's
/// lifecycle policy, the entries of an index do not. Where tags never move they stay.
std::unique_ptr<ports::BuildpacksBuilder> make_several_platforms(
    std::unique_ptr<ports::BuildpacksBuilder> one, CanBuild can_build, PlatformPeers peers);

}  // namespace builder::adapters::cnb
