#pragma once

#include "ports/source_tree.hpp"

#include <string>
#include <string_view>

namespace builder::adapters::buildkit {

/// Finds out why a source of a COPY, an ADD or a mount is not in the build's context.
class ContextView {
 public:
  /// `dockerfile`: its path in the context, which names its own ignore file.
  ContextView(const ports::SourceTree& tree, std::string dockerfile)
      : tree_(tree), dockerfile_(std::move(dockerfile)) {}

  /// Whether the engine could have had it: it is there and no line of the ignore file leaves it
  /// out. A pattern counts as there.
  [[nodiscard]] bool has(std::string_view source) const;

  /// The customer's sentence about a source that is not there, as it is written in the Dockerfile.
  [[nodiscard]] std::string why_missing(std::string_view source) const;

  /// Sentences about a file of the repository that a command in the image failed to start; empty
  /// when the file is not found here or shows nothing. `code` is what the command ended with.
  [[nodiscard]] std::string why_not_started(std::string_view path_in_image, int code) const;

 private:
  [[nodiscard]] bool exists(std::string_view path) const;
  [[nodiscard]] std::string hidden_by(std::string_view path) const;
  [[nodiscard]] std::string matches_hidden_by(const std::string& path) const;
  [[nodiscard]] std::string in_other_case(std::string_view path) const;
  [[nodiscard]] std::string found_for(std::string_view path_in_image) const;

  const ports::SourceTree& tree_;
  std::string dockerfile_;
};

}  // namespace builder::adapters::buildkit
