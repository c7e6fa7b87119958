#pragma once

#include "adapters/oci/client.hpp"
#include "ports/image_search.hpp"

#include <memory>

namespace builder::adapters::image_search {

/// Fetches the layers from the registry that the image was pushed to, one after the other, and
/// searches them as they come: nothing is written, and a search takes about a megabyte, with zstd
/// up to 32 MiB more. What is packed in files inside a layer is not unpacked again.
///
/// A layer is given up that unpacks to more than 64 GiB, that is damaged, or that lies elsewhere
/// (`urls`). `client` outlives it.
std::unique_ptr<ports::ImageSearch> make_image_search(oci::Client& client);

}  // namespace builder::adapters::image_search
