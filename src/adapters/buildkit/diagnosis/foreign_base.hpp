#pragma once

#include "adapters/buildkit/diagnosis/dockerfile.hpp"

#include <compare>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::buildkit {

/// An image that an engine looks up for one of several platforms.
struct LookedUpImage {
  std::string platform;
  std::string name;  ///< As registries know it: `docker.io/library/node:22`, or with a digest.

  auto operator<=>(const LookedUpImage&) const = default;
};

/// What the name of a step says: `[internal] load metadata for docker.io/library/node:22`, for the
/// only platform of a solve, or `[linux/arm64 internal] …` for one of several. nullopt: another
/// step.
std::optional<LookedUpImage> looked_up_image(std::string_view step, std::string_view only);

/// A Dockerfile that images for several platforms are made of, and base images that are for another
/// one. Engines do not mind: an image that is no index is taken for every platform, and the result
/// is named after what was asked for, whatever its programs are.
class ForeignBases {
 public:
  /// `target`: a stage; empty: the last one. `given`: values of ARGs.
  ForeignBases(std::string file, std::string_view text, std::string_view target,
               const std::vector<std::string>& platforms,
               const std::map<std::string, std::string>& given);

  struct Finding {
    /// The result for that platform would hold programs of the other. If not, another stage is made
    /// of the image, or it cannot be told whether the result is.
    bool spoils_result = false;
    std::string line;  ///< For the customer.
  };

  /// About an image that is for `found`. nullopt: its programs run where they are meant to, or no
  /// stage is made of it but such as have another platform by their own wish. Files may be copied
  /// from any image.
  [[nodiscard]] std::optional<Finding> judge(const LookedUpImage& image,
                                             std::string_view found) const;

  /// The line about a result whose FROM has a `--platform` that is not the one it is built for;
  /// empty: there is none. `engine`: what `$BUILDPLATFORM` stands for; empty: not known.
  [[nodiscard]] std::string foreign_flag(std::string_view engine) const;

  /// The line about a RUN (`[linux/arm64 build 2/3] RUN …`; without the platform where there is
  /// only one) whose programs are for another machine than `machine`; empty: they are not, as far
  /// as it can be told, or the step runs nothing.
  [[nodiscard]] std::string foreign_run(std::string_view step, std::string_view machine) const;

 private:
  /// As the frontend reads it for one platform.
  struct From {
    std::size_t line = 0;
    std::string stage;
    std::optional<std::string> image;  ///< Its name as in `LookedUpImage`; nullopt: not known.
    std::string flag;                  ///< Of `--platform`, as it is written.
    std::optional<std::string> asked;  ///< What that is; nullopt: not known.
    std::optional<std::size_t> base;   ///< The stage before it that it is made of.
  };

  struct Reading {
    std::string platform;
    std::vector<From> froms;
    std::optional<From> last;  ///< What the result is made of, through all stages between.
  };

  [[nodiscard]] Reading read(std::string_view target, const std::string& platform,
                             const std::map<std::string, std::string>& given) const;
  [[nodiscard]] std::string platform_of(const Instruction* run, std::string_view machine) const;

  std::string file_;
  Dockerfile dockerfile_;
  std::vector<Reading> readings_;
};

}  // namespace builder::adapters::buildkit
