#pragma once

#include "adapters/buildkit/diagnosis/frontend.hpp"
#include "adapters/buildkit/diagnosis/source_rules.hpp"
#include "adapters/oci/reference.hpp"
#include "adapters/policy/gate.hpp"
#include "adapters/policy/policy.hpp"
#include "base/result.hpp"
#include "domain/base_image.hpp"
#include "ports/image_builder.hpp"
#include "ports/job_context.hpp"

#include "buildkit_control.pb.h"

#include <cstddef>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace builder::adapters::buildkit {

/// What a policy says of one thing that a Dockerfile asks for.
struct PolicyFinding {
  std::size_t line = 0;
  std::string what;                     ///< An image, as it is written, or an instruction.
  std::optional<oci::Reference> image;  ///< Where it is one that may be used.
  std::string rule;                     ///< That decided; empty: none had to.
  bool needs_signature = false;         ///< Which only its registry knows.
  std::string refusal;                  ///< The end of a customer's line; empty: it may be used.
};

/// All that the text asks for, by line, judged by names alone. What frontends may read in different
/// ways is refused, and ends the list. `frontends`: those that read Dockerfiles as Docker's do;
/// with `any`, Docker's own.
std::vector<PolicyFinding> judge_dockerfile(const policy::Policy& policy,
                                            const FrontendRules& frontends,
                                            std::string_view dockerfile,
                                            const GivenArguments& given);

/// Refuses the text (`build_failed` with the customer's line) by the first finding that does.
/// `file`: the Dockerfile's name in that line. Otherwise the images that it names.
Result<std::vector<PolicyFinding>> check_dockerfile(const policy::Policy& policy,
                                                    const FrontendRules& frontends,
                                                    std::string_view file,
                                                    std::string_view dockerfile,
                                                    const GivenArguments& given);

/// What a build may take.
struct AdmittedImages {
  /// Of its pins those that the policy leaves, and of images that had to be signed the version that
  /// was looked at.
  ports::ImagePins pins;
  /// Those of them, as an engine asks for them: `docker.io/library/node:22@sha256:…`.
  std::vector<std::string> signed_images;
};

/// Looks at the images that have to be signed. `holds_pins`: the engine takes the version that it
/// is told; if not, such an image needs its digest in the Dockerfile. Errors: as of
/// `policy::Gate::admit`, with the place.
Result<AdmittedImages> admit_images(policy::Gate& gate, const ports::JobContext& job,
                                    std::string_view file, const std::vector<PolicyFinding>& found,
                                    const ports::ImagePins& pins, bool holds_pins);

/// The same for the engine, which knows what is asked for when all variables are known, and what
/// triggers of base images ask for. Adds refusals only: what other rules refuse stays refused.
void add_image_policy(moby::buildkit::v1::Policy& message, const policy::Policy& policy,
                      const AdmittedImages& admitted);

/// For an engine that keeps no such rules: refuses a build by what the engine says it has taken,
/// before the image leaves it. Without a digest: what its registry had under the name.
Result<> check_taken(const policy::Policy& policy, std::string_view file,
                     const std::set<domain::BaseImage>& taken, const AdmittedImages& admitted);

}  // namespace builder::adapters::buildkit
