#pragma once

#include <string>

namespace builder::domain {

/// How far the attempts of one deployment have come. Every field names content: the next attempt,
/// on whatever machine, checks whether it is still there, and skips that step. An empty field means
/// that no attempt has come that far. Holds no secret.
struct Checkpoint {
  std::string commit;      ///< What the branch pointed to; later attempts build the same.
  std::string image_id;    ///< Built, and kept by an engine under this id: `sha256:…`.
  std::string repository;  ///< Of the digest: `host[:port]/path`.
  std::string digest;      ///< In the registry, under the deployment's own tag: `sha256:…`.
  bool promoted = false;   ///< `latest` is the digest.

  bool operator==(const Checkpoint&) const = default;
};

}  // namespace builder::domain
