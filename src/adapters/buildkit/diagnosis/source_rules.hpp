#pragma once

#include "adapters/network/address_class.hpp"
#include "adapters/network/resolver.hpp"
#include "base/result.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"
#include "ports/registry.hpp"

#include "buildkit_control.pb.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::buildkit {

/// Where a customer's Dockerfile may take files and images from. The engine fetches them, from its
/// own network.
struct SourceRules {
  network::NetworkPolicy policy = network::NetworkPolicy::public_only;
  /// Hosts of registries that the operator has named: wherever they are, images come from them.
  std::vector<std::string> registries = {};
};

/// The same for the engine, by the text of each address; it is asked when variables are known.
/// Images in the repository's own folder belong to other services: all but its own are refused.
/// Without a repository there are no others.
moby::buildkit::v1::Policy source_policy(const SourceRules& rules,
                                         const std::optional<ports::Repository>& repository);

/// Lets the engine take the pinned content in place of what the registry has under a name.
void add_pins(moby::buildkit::v1::Policy& policy, const ports::ImagePins& pins);

/// Something a Dockerfile asks the engine to fetch.
struct RemoteSource {
  std::size_t line = 0;
  /// Lower case; of an image with the port. Empty: not said in full.
  std::string host;
  bool is_image = false;
};

/// Values that a build gives to ARGs, by name; they go before those in the file.
using GivenArguments = std::map<std::string, std::string>;

/// What ADD instructions fetch over the network, and images by their registry's host where it is an
/// address or a local name, in every reading that some frontend has of the text (continuation
/// lines, escapes, JSON, heredocs).
std::vector<RemoteSource> remote_sources(std::string_view dockerfile,
                                         const GivenArguments& given = {});

/// Refuses a Dockerfile (`build_failed` with the customer's line) that fetches from where it may
/// not. Names are looked up here, for a moment at most; what cannot be found is left to the engine.
/// `keeps_policies`: the engine refuses by `source_policy` too; if not, an address that is not
/// written out is refused as well.
Result<> check_sources(const SourceRules& rules, std::string_view file, std::string_view dockerfile,
                       const GivenArguments& given, bool keeps_policies,
                       network::Resolver& resolver, const ports::JobContext& job);

/// The customer's words for a host that is not allowed.
std::string host_refusal(const std::string& host, bool is_image);

}  // namespace builder::adapters::buildkit
