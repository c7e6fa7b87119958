#include "adapters/cnb/images.hpp"

#include "adapters/oci/push_fault.hpp"
#include "base/text.hpp"

#include <fmt/format.h>

#include <utility>

namespace builder::adapters::cnb {

namespace {

using domain::buildpacks::BuilderImage;

constexpr std::size_t k_most_known = 50;
constexpr std::size_t k_shown_name = 80;
/// Where another one may answer, nobody waits for a registry that is away.
constexpr std::chrono::seconds k_candidate_limit{3};

/// What went wrong with an image of the platform's, said to the customer and to the operator.
Error explained(Error error, std::string_view what, const std::string& name) {
  if (error.kind == ErrorKind::cancelled || !error.customer.empty()) {
    return error;
  }
  if (error.setting == oci::k_place_setting) {
    error.setting.clear();  // Of this image's registry, which is not everybody's.
  }
  const std::string shown = fmt::format("{} {}", what, printable_line(name, k_shown_name));
  switch (error.kind) {
    case ErrorKind::denied:
      error.customer = shown +
                       " does not exist or its registry refuses our login; the operator "
                       "can correct it";
      break;
    case ErrorKind::not_found:
    case ErrorKind::invalid_input:
      error.customer = shown + " does not exist; the operator can choose another";
      break;
    case ErrorKind::unavailable:
    case ErrorKind::timed_out:
      error.customer = shown +
                       ": its registry could not be reached; please deploy again in a few "
                       "minutes";
      break;
    default:
      error.customer = shown + " could not be read; please contact the operator";
  }
  return std::move(error).with_context(shown);
}

/// Empty: it is not pinned. A history has a builder without its tag, since it is written to the
/// engine so, and a build has one builder.
std::string pinned_digest(const oci::Reference& wanted, const ports::ImagePins& pins) {
  if (!wanted.digest.empty()) {
    return wanted.digest;
  }
  for (const auto& [name, digest] : pins) {
    const auto pinned = oci::parse_reference(name);
    const bool has_tag = name.find(':', name.rfind('/') + 1) != std::string::npos;
    if (pinned && pinned->host == wanted.host && pinned->repository == wanted.repository &&
        (!has_tag || pinned->tag == wanted.tag)) {
      return digest;
    }
  }
  return {};
}

/// Without a name when it was named by its digest.
domain::BaseImage version_of(const oci::Reference& named, std::string digest) {
  return {.name = named.digest.empty() ? oci::for_engine(named) : std::string(),
          .digest = std::move(digest)};
}

}  // namespace

Error no_variant(const std::string& builder, const std::string& platform) {
  const std::string words = fmt::format("Builder {} has no variant for {}",
                                        printable_line(builder, k_shown_name), platform);
  return {.kind = ErrorKind::not_found,
          .message = words,
          .customer = words + "; the operator can choose another"};
}

Result<ResolvedBuilder> Images::builder(const ports::JobContext& job, const std::string& name,
                                        const std::string& platform, const ports::ImagePins& pins) {
  auto reference = oci::parse_reference(name);
  if (!reference) {
    return std::unexpected(explained(std::move(reference).error(), "Builder", name));
  }
  std::string digest = pinned_digest(*reference, pins);
  if (digest.empty()) {
    auto found = client_.head(job, *reference);
    if (!found) {
      return std::unexpected(explained(std::move(found).error(), "Builder", name));
    }
    digest = found->digest;
  }
  const oci::Reference pinned = reference->with_digest(digest);
  BUILDER_TRY_ASSIGN(BuilderImage image, described(job, pinned, name, platform));
  return ResolvedBuilder{.name = name,
                         .pinned = oci::for_engine(pinned),
                         .version = version_of(*reference, std::move(digest)),
                         .image = std::move(image)};
}

Result<BuilderImage> Images::described(const ports::JobContext& job, const oci::Reference& pinned,
                                       const std::string& name, const std::string& platform) {
  const std::string key = pinned.digest + " " + platform;
  {
    auto known = known_.lock();
    if (const auto found = known->find(key); found != known->end()) {
      return found->second;
    }
  }
  auto image = client_.image(job, pinned, platform);
  if (!image && image.error().message.ends_with(" has no variant for " + platform)) {
    return std::unexpected(no_variant(name, platform));
  }
  if (!image) {
    return std::unexpected(explained(std::move(image).error(), "Builder", name));
  }
  BUILDER_TRY_ASSIGN(BuilderImage read,
                     domain::buildpacks::read_builder_image(image->config, name));
  if (image->manifest.digest != pinned.digest) {
    read.platform = platform;  // So the index says, whatever the image does.
  }
  auto known = known_.lock();
  if (known->size() >= k_most_known) {
    known->clear();
  }
  known->insert_or_assign(key, read);
  return read;
}

Result<Images::RunImage> Images::run_image(const ports::JobContext& job,
                                           const std::vector<std::string>& candidates,
                                           const std::string& builder,
                                           const ports::ImagePins& pins) {
  std::optional<Error> first;
  for (const std::string& candidate : candidates) {
    Result<oci::Descriptor> found = failure(ErrorKind::invalid_input, "no image reference");
    const auto reference = oci::parse_reference(candidate);
    if (reference) {
      const std::string pinned = pinned_digest(*reference, pins);
      found = client_.head(candidates.size() > 1 ? job.within(k_candidate_limit) : job,
                           pinned.empty() ? *reference : reference->with_digest(pinned));
    }
    if (found) {
      return RunImage{.name = candidate, .version = version_of(*reference, found->digest)};
    }
    if (found.error().kind == ErrorKind::cancelled) {
      return std::unexpected(std::move(found).error());
    }
    job.log.warning("run image {} of builder {}: {}", printable_line(candidate), builder,
                    found.error().message);
    if (!first) {
      first = explained(std::move(found).error(), "Run image", candidate);
    }
  }
  if (!first) {
    return std::unexpected(
        explained({.kind = ErrorKind::invalid_input,
                   .message = "it names no run image; CNB_RUN_IMAGE can",
                   .customer = "The builder names no run image; the operator can choose one with "
                               "CNB_RUN_IMAGE"},
                  "Builder", builder));
  }
  return std::unexpected(*std::move(first));
}

Result<std::string> Images::previous(const ports::JobContext& job,
                                     const ports::Repository& repository,
                                     const std::string& platform) {
  const auto found = client_.image(job, oci::reference_of(repository, "latest"), platform);
  if (!found) {
    return found.error().kind == ErrorKind::not_found ? Result<std::string>()
                                                      : std::unexpected(found.error());
  }
  const bool is_entry = found->manifest.digest != found->reference.digest;
  const std::string own = oci::platform_of_config(found->config);
  return is_entry || own.empty() || domain::is_same_machine(own, platform)
             ? repository.uri + "@" + found->manifest.digest
             : std::string();
}

}  // namespace builder::adapters::cnb
