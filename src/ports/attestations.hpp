#pragma once

#include "base/result.hpp"
#include "ports/job_context.hpp"
#include "ports/registry.hpp"

#include <string>
#include <vector>

namespace builder::ports {

/// Something said about an image: an in-toto statement v1, https://in-toto.io/Statement/v1
struct Statement {
  std::string predicate_type;  ///< A URI.
  std::string text;            ///< JSON.
};

/// What is said about images, kept beside them at their registry.
class Attestations {
 public:
  virtual ~Attestations() = default;
  /// Whether what is attached is signed.
  [[nodiscard]] virtual bool signs() const = 0;
  /// Whether a statement of this kind is attached to the image. Who made it is not checked.
  /// Errors: as of `Registry`.
  virtual Result<bool> has(const JobContext& job, const PublishedImage& image,
                           const std::string& predicate_type) = 0;
  /// Signs the statements, where there is a key, and attaches them to the image. What the same
  /// deployment has attached already is left as it is.
  /// Errors: as of `Registry`; `conflict`: something stands in the way at the registry; of the key,
  /// with `Error::setting`.
  virtual Result<> attach(const JobContext& job, const PublishedImage& image,
                          const std::vector<Statement>& statements) = 0;
};

}  // namespace builder::ports
