#pragma once

#include "adapters/cnb/platform.hpp"
#include "ports/buildpacks_builder.hpp"

#include <functional>
#include <memory>

namespace builder::adapters::cnb {

/// Why no image can be built for `BuildpacksSpec::platform`, a single one, in words for the
/// customer; empty: it can. Thread-safe.
using WhyNot = std::function<Result<std::string>(const ports::JobContext& job,
                                                 const ports::BuildpacksSpec& spec)>;

/// Images for several platforms: `one` builds that for each, at once, and they become one index.
///
/// The lifecycle puts an image under a tag, so each has one of its own (`TAG-for-linux-arm64`)
/// until the index is there, to which those tags then lead: an image that has a tag counts for
/// ECR's lifecycle policy, the entries of an index do not. If the build fails they lead to what
/// `latest` means. Where tags never move they stay.
std::unique_ptr<ports::BuildpacksBuilder> make_several_platforms(
    std::unique_ptr<ports::BuildpacksBuilder> one, WhyNot why_not, PlatformPeers peers);

}  // namespace builder::adapters::cnb
