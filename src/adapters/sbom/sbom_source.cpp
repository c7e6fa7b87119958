#include "adapters/sbom/sbom_source.hpp"

#include "adapters/oci/reference.hpp"
#include "adapters/sbom/lifecycle_sbom.hpp"
#include "adapters/sbom/scanner.hpp"

#include <optional>
#include <utility>

namespace builder::adapters::sbom {

namespace {

using ports::ImageMaker;
using ports::JobContext;
using ports::PublishedImage;

class Sboms final : public ports::SbomSource {
 public:
  Sboms(std::string scanner, buildkit::Solver& solver, oci::Client& client) : client_(client) {
    if (!scanner.empty()) {
      scanner_.emplace(std::move(scanner), solver, client);
    }
  }

  [[nodiscard]] bool describes_all() const override { return scanner_.has_value(); }

  Result<std::vector<PublishedImage>> images(const JobContext& job,
                                             const PublishedImage& image) override {
    BUILDER_TRY_ASSIGN(const auto found, client_.images(job, reference_of(image)));
    std::vector<PublishedImage> images;
    for (const oci::Image& one : found) {
      images.push_back(
          {.repository = image.repository, .tag = image.tag, .digest = one.manifest.digest});
    }
    return images;
  }

  Result<std::vector<domain::Sbom>> read(const JobContext& job, const PublishedImage& image,
                                         ImageMaker maker) override {
    BUILDER_TRY_ASSIGN(const auto found, client_.images(job, reference_of(image)));
    if (found.size() != 1) {
      return failure(ErrorKind::internal, image.digest + " is an index");
    }
    std::vector<domain::Sbom> sboms;
    if (maker == ImageMaker::buildpacks) {
      BUILDER_TRY_ASSIGN(sboms, read_lifecycle_sbom(client_, job, found.front()));
    }
    if (sboms.empty() && scanner_) {
      return scanner_->scan(job, found.front());
    }
    return sboms;
  }

 private:
  static oci::Reference reference_of(const PublishedImage& image) {
    return oci::reference_of(image.repository, {}).with_digest(image.digest);
  }

  oci::Client& client_;
  std::optional<Scanner> scanner_;
};

}  // namespace

std::unique_ptr<ports::SbomSource> make_sbom_source(std::string scanner, buildkit::Solver& solver,
                                                    oci::Client& client) {
  return std::make_unique<Sboms>(std::move(scanner), solver, client);
}

}  // namespace builder::adapters::sbom
