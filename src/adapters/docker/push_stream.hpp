#pragma once

#include "adapters/oci/push_progress.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

namespace builder::adapters::docker {

/// Collects the records of one push.
///
/// The digest comes in a record of its own (`aux`), or, from an Engine with the containerd image
/// store, only in the last status: "TAG: digest: sha256:… size: N".
class PushStream {
 public:
  struct Layer {
    std::uint64_t sent = 0;
    std::uint64_t total = 0;
    bool waits = false;  ///< Has not said how large it is.
  };

  /// One line of the answer; what is no JSON object is skipped.
  void take(std::string_view line);

  [[nodiscard]] const std::string& digest() const { return digest_; }

  [[nodiscard]] const std::string& error() const { return error_; }

  /// The sum is known when every layer has said how large it is.
  [[nodiscard]] oci::PushedBytes bytes() const;

  /// HTTP 200 says nothing: only a digest without an error is a success.
  [[nodiscard]] bool succeeded() const { return error_.empty() && !digest_.empty(); }

 private:
  std::string digest_;
  std::string error_;
  std::unordered_map<std::string, Layer> layers_;
};

}  // namespace builder::adapters::docker
