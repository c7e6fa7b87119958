#pragma once

#include "ports/sbom_source.hpp"

#include <functional>
#include <string>
#include <vector>

namespace builder::fakes {

/// Describes images as it is told to.
class FakeSboms final : public ports::SbomSource {
 public:
  [[nodiscard]] bool describes_all() const override { return has_scanner; }

  Result<std::vector<ports::PublishedImage>> images(const ports::JobContext&,
                                                    const ports::PublishedImage& image) override {
    std::vector<ports::PublishedImage> all;
    for (const std::string& digest : digests.empty() ? std::vector{image.digest} : digests) {
      all.push_back({.repository = image.repository, .tag = image.tag, .digest = digest});
    }
    return all;
  }

  Result<std::vector<domain::Sbom>> read(const ports::JobContext& job,
                                         const ports::PublishedImage& image,
                                         ports::ImageMaker maker) override {
    described.push_back(image.digest);
    last_maker = maker;
    if (hook) {
      BUILDER_TRY(hook(job));
    }
    return sboms;
  }

  bool has_scanner = true;
  std::vector<std::string> digests;  ///< Of an index; empty: the image is none.
  std::vector<domain::Sbom> sboms{{domain::k_spdx_type, R"({"spdxVersion":"SPDX-2.3"})"}};
  std::vector<std::string> described;
  ports::ImageMaker last_maker{};
  std::function<Result<>(const ports::JobContext&)> hook;
};

}  // namespace builder::fakes
