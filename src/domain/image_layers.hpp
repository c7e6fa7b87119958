#pragma once

#include "domain/ids.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

/// How large an image is at its registry, and what of that the last one of its service did not
/// have.
namespace builder::domain {

/// The layers that a manifest lists: digest → bytes, as they are packed. Empty: not known.
using ImageLayers = std::map<std::string, std::uint64_t, std::less<>>;

/// What a deployment leaves for the next one of its service.
struct LastLayers {
  std::string deployment;
  std::set<std::string, std::less<>> digests;
};

std::string write_last_layers(const DeploymentId& deployment, const ImageLayers& layers);
/// What cannot be read is nothing.
LastLayers read_last_layers(std::string_view text);

struct ImageSize {
  std::uint64_t bytes = 0;
  std::size_t layers = 0;                  ///< 0: not known.
  std::optional<std::uint64_t> new_bytes;  ///< Absent: the last image is not known.
};

/// A deployment that tries again is no measure of itself.
ImageSize size_of(const ImageLayers& layers, const LastLayers& last,
                  const DeploymentId& deployment);

/// "184.2 MB compressed, 3.1 MB new"; empty: not known.
std::string in_words(const ImageSize& size);

}  // namespace builder::domain
