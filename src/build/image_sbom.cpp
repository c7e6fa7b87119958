#include "build/image_sbom.hpp"

#include "domain/sbom.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace builder::build {

namespace {

Result<bool> has_sbom(ports::Attestations& attestations, const ports::JobContext& job,
                      const ports::PublishedImage& image) {
  for (const std::string_view type : {domain::k_spdx_type, domain::k_cyclonedx_type}) {
    BUILDER_TRY_ASSIGN(const bool is_there, attestations.has(job, image, std::string(type)));
    if (is_there) {
      return true;
    }
  }
  return false;
}

}  // namespace

std::string_view to_string(SbomResult result) {
  switch (result) {
    case SbomResult::attached:
      return "attached";
    case SbomResult::there:
      return "there";
    case SbomResult::none:
      break;
  }
  return "none";
}

Result<SbomResult> attach_sboms(ports::SbomSource& source, ports::Attestations& attestations,
                                const ports::JobContext& job, const SbomTask& task) {
  BUILDER_TRY_ASSIGN(const auto images, source.images(job, task.image));
  SbomResult result = SbomResult::there;
  for (const ports::PublishedImage& image : images) {
    BUILDER_TRY_ASSIGN(const bool is_there, has_sbom(attestations, job, image));
    if (is_there) {
      continue;
    }
    BUILDER_TRY_ASSIGN(const auto sboms, source.read(job, image, task.maker));
    if (sboms.empty()) {
      result = SbomResult::none;
      continue;
    }
    std::vector<ports::Statement> statements;
    for (const domain::Sbom& sbom : sboms) {
      statements.push_back({std::string(sbom.predicate_type),
                            domain::sbom_statement(image.repository.uri, image.digest, sbom)});
    }
    BUILDER_TRY(attestations.attach(job, image, statements));
    result = result == SbomResult::none ? result : SbomResult::attached;
  }
  return result;
}

}  // namespace builder::build
