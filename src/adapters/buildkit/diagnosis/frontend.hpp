#pragma once

#include "adapters/oci/reference.hpp"
#include "base/result.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::buildkit {

/// A program a Dockerfile asks to be read by: `# syntax=docker/dockerfile:1`. The engine fetches it
/// as an image; it can ask for any cache, image and secret of the solve.
struct NamedFrontend {
  std::string reference;  ///< As written; empty: in a form that cannot be read.
  std::size_t line = 0;
};

/// All that any BuildKit could take for the frontend of this text: as a comment (`#`, `//`) behind
/// comments of that form only, as a member of a JSON object, after a byte order mark or a `#!`
/// line. Versions differ in what they accept; this accepts what one of them does.
std::vector<NamedFrontend> named_frontends(std::string_view dockerfile);

/// Which frontends a Dockerfile may name.
struct FrontendRules {
  bool any = false;
  std::vector<oci::Reference> allowed;  ///< By repository: every tag and digest of it.
};

/// `any`, or a comma-separated list of image repositories.
Result<FrontendRules> parse_frontend_rules(std::string_view text);

/// The references of the frontends that the text names; `build_failed` with the customer's line
/// for one that is not allowed. `file`: the Dockerfile's name in that line.
Result<std::vector<std::string>> check_frontends(const FrontendRules& rules, std::string_view file,
                                                 std::string_view dockerfile);

}  // namespace builder::adapters::buildkit
