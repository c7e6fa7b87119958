#include "adapters/oci/plain_registry.hpp"

#include <utility>

namespace builder::adapters::oci {

namespace {

using ports::JobContext;
using ports::PublishedImage;
using ports::Repository;

class PlainRegistry final : public ports::Registry {
 public:
  PlainRegistry(Repository repository, Client& client)
      : repository_(std::move(repository)), client_(client) {}

  Result<Repository> ensure_repository(const JobContext& /*job*/,
                                       const domain::ServiceId& /*service*/) override {
    return repository_;
  }

  Result<> restore_repository(const JobContext& /*job*/, const Repository& repository) override {
    return std::unexpected(
        Error{.kind = ErrorKind::not_found,
              .message = "the registry has no repository " + repository.uri,
              .customer = "The registry has no repository " + repository.uri + "; make it first"});
  }

  Result<std::optional<Repository>> find_repository(const JobContext& /*job*/,
                                                    const domain::ServiceId& /*service*/) override {
    return repository_;
  }

  Result<std::optional<PublishedImage>> find(const JobContext& job, const Repository& repository,
                                             const std::string& tag) override {
    const auto there = client_.head(job, reference_of(repository, tag));
    if (there) {
      return PublishedImage{.repository = repository, .tag = tag, .digest = there->digest};
    }
    return there.error().kind == ErrorKind::not_found
               ? Result<std::optional<PublishedImage>>(std::nullopt)
               : std::unexpected(there.error());
  }

  Result<domain::ImageLayers> promote(const JobContext& job, const PublishedImage& image) override {
    return put_under(job, image, "latest");
  }

  Result<> add_tag(const JobContext& job, const PublishedImage& image) override {
    BUILDER_TRY(put_under(job, image, image.tag));
    return {};
  }

  Result<> probe(const JobContext& job) override {
    return client_.ping(job, reference_of(repository_, {}).host);
  }

 private:
  Result<domain::ImageLayers> put_under(const JobContext& job, const PublishedImage& image,
                                        const std::string& tag) {
    const Reference reference = reference_of(image.repository, tag);
    BUILDER_TRY_ASSIGN(const Manifest manifest,
                       client_.manifest(job, reference.with_digest(image.digest)));
    BUILDER_TRY(client_.put(job, reference, manifest));
    return layers_of(manifest);
  }

  const Repository repository_;
  Client& client_;
};

}  // namespace

std::unique_ptr<ports::Registry> make_plain_registry(ports::Repository repository, Client& client) {
  return std::make_unique<PlainRegistry>(std::move(repository), client);
}

}  // namespace builder::adapters::oci
