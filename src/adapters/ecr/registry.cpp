#include "adapters/ecr/registry.hpp"

#include "adapters/ecr/repository_name.hpp"
#include "adapters/oci/push_fault.hpp"
#include "base/json.hpp"
#include "base/sync.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

namespace builder::adapters::ecr {

namespace {

using nlohmann::json;
using ports::JobContext;
using ports::PublishedImage;
using ports::Repository;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::minutes k_remember_repository{5};
/// A repository that was just created may be unknown for a moment.
constexpr int k_appear_attempts = 10;
constexpr std::chrono::milliseconds k_appear_interval{300};

class EcrRegistry final : public ports::Registry {
 public:
  EcrRegistry(RegistrySettings settings, Api& api, Logins& logins, oci::Client& client, Log log)
      : settings_(settings), api_(api), logins_(logins), client_(client), log_(std::move(log)) {}

  Result<Repository> ensure_repository(const JobContext& job,
                                       const domain::ServiceId& service) override {
    BUILDER_TRY_ASSIGN(const std::string name, repository_name(service));
    std::optional<Repository> repository = remembered(name);
    if (!repository) {
      auto uri = describe_or_create(job, name);
      if (!uri) {
        if (uri.error().kind != ErrorKind::cancelled) {
          *refused_.lock() = name;
        }
        return std::unexpected(of_all(std::move(uri).error()));
      }
      repository = Repository{*std::move(uri)};
      logins_.add_host(repository->host());
    }
    // Fetched ahead of the push, which then does not wait for it.
    if (auto login = logins_.login(job, repository->host()); !login) {
      return std::unexpected(of_all(std::move(login).error()));
    }
    remembered_.lock()->try_emplace(name,
                                    Known{repository->uri, Clock::now() + k_remember_repository});
    return *std::move(repository);
  }

  Result<std::optional<Repository>> find_repository(const JobContext& job,
                                                    const domain::ServiceId& service) override {
    BUILDER_TRY_ASSIGN(const std::string name, repository_name(service));
    if (auto known = remembered(name)) {
      return known;
    }
    auto uri = describe(job, name);
    if (!uri) {
      return std::unexpected(of_all(std::move(uri).error()));
    }
    if (!*uri) {
      return std::nullopt;
    }
    Repository repository{**std::move(uri)};
    logins_.add_host(repository.host());
    return repository;
  }

  Result<> restore_repository(const JobContext& job, const Repository& repository) override {
    const std::string name = repository.path();
    remembered_.lock()->erase(name);
    if (auto made = describe_or_create(job, name); !made) {
      return std::unexpected(of_all(std::move(made).error()));
    }
    return {};
  }

  Result<std::optional<PublishedImage>> find(const JobContext& job, const Repository& repository,
                                             const std::string& tag) override {
    const auto there = client_.head(
        job,
        {.host = repository.host(), .repository = repository.path(), .tag = tag, .digest = {}});
    if (there) {
      return PublishedImage{.repository = repository, .tag = tag, .digest = there->digest};
    }
    if (there.error().kind == ErrorKind::not_found) {
      return std::nullopt;
    }
    return std::unexpected(oci::for_customer(there.error()));
  }

  Result<> probe(const JobContext& job) override {
    BUILDER_TRY_ASSIGN(const std::string host, logins_.own_host(job));
    if (auto answered = client_.ping(job, host); !answered) {
      return std::unexpected(of_all(std::move(answered).error()));
    }
    const std::string refused = *refused_.lock();
    if (refused.empty()) {
      return {};
    }
    BUILDER_TRY(describe_or_create(job, refused));
    refused_.lock()->clear();
    return {};
  }

  Result<> add_tag(const JobContext& job, const PublishedImage& image) override {
    auto tagged = put_under(job, image, image.tag);
    return tagged ? Result<>() : std::unexpected(judged(job, std::move(tagged).error()));
  }

  Result<domain::ImageLayers> promote(const JobContext& job, const PublishedImage& image) override {
    auto moved = put_under(job, image, "latest");
    if (!moved && moved.error().kind == ErrorKind::conflict) {
      const std::string where = "the tags of " + image.repository.path() + " are immutable";
      if (!settings_.needs_latest) {
        log_.info("{}: latest stays where it is", where);
        return domain::ImageLayers();
      }
      return std::unexpected(
          oci::for_customer(std::move(moved).error())
              .with_context(where + " (set IMAGE_REFERENCE=digest, or let `latest` move)"));
    }
    return moved ? moved : std::unexpected(judged(job, std::move(moved).error()));
  }

 private:
  /// `conflict`: tags of this repository never move, and another image is there.
  Result<domain::ImageLayers> put_under(const JobContext& job, const PublishedImage& image,
                                        const std::string& tag) {
    oci::Reference reference{.host = image.repository.host(),
                             .repository = image.repository.path(),
                             .tag = tag,
                             .digest = image.digest};
    BUILDER_TRY_ASSIGN(const oci::Manifest manifest, client_.manifest(job, reference));
    reference.digest.clear();
    const auto put = client_.put(job, reference, manifest);
    bool is_there = put.has_value();
    if (!put && put.error().kind == ErrorKind::conflict) {
      const auto there = client_.head(job, reference);
      is_there = there && there->digest == image.digest;
    }
    return is_there ? Result<domain::ImageLayers>(oci::layers_of(manifest))
                    : std::unexpected(put.error());
  }

  struct Known {
    std::string uri;
    SteadyTime until;
  };

  /// No image has a part in it: every deployment would meet it.
  static Error of_all(Error error) {
    return oci::for_customer(std::move(error)).for_operator(oci::k_registry_setting);
  }

  /// A registry that answers nothing else either is everybody's trouble, and so is one that refuses
  /// us. One that answers denies this repository, or something stands before that alone.
  Error judged(const JobContext& job, Error error) {
    const bool is_denied = error.kind == ErrorKind::denied;
    if ((!is_denied && !error.is_transient()) || job.stop.stop_requested()) {
      return oci::for_customer(std::move(error));
    }
    const bool answers = probe(job.within(ports::k_probe_limit)).has_value();
    error = answers && !is_denied ? oci::for_customer(std::move(error)) : of_all(std::move(error));
    error.of_one_service = answers;
    return error;
  }

  std::optional<Repository> remembered(const std::string& name) {
    auto known = remembered_.lock();
    const auto found = known->find(name);
    if (found != known->end() && found->second.until < Clock::now()) {
      known->erase(found);
      return std::nullopt;
    }
    return found == known->end() ? std::nullopt : std::optional(Repository{found->second.uri});
  }

  std::expected<json, ApiError> call(const JobContext& job, std::string_view operation,
                                     const json& input) {
    return api_.call(operation, input, job.stop, job.within(k_call_limit).deadline);
  }

  /// The repository's address; nullopt: there is none.
  Result<std::optional<std::string>> describe(const JobContext& job, const std::string& name) {
    const auto described = call(job, "DescribeRepositories", {{"repositoryNames", {name}}});
    if (described) {
      BUILDER_TRY_ASSIGN(std::string uri, uri_of(*described));
      return uri;
    }
    if (described.error().code == "RepositoryNotFoundException") {
      return std::nullopt;
    }
    return std::unexpected(described.error().error);
  }

  Result<std::string> describe_or_create(const JobContext& job, const std::string& name) {
    BUILDER_TRY_ASSIGN(auto uri, describe(job, name));
    if (uri) {
      put_policy_where_ours(job, name, false);
      return *std::move(uri);
    }
    log_.info("creating repository {}", name);
    auto created = call(job, "CreateRepository", {{"repositoryName", name}});
    if (created) {
      put_policy_where_ours(job, name, true);
      return text_of(created->value("repository", json::object()), "repositoryUri");
    }
    if (created.error().code != "RepositoryAlreadyExistsException") {
      return std::unexpected(std::move(created).error().error);
    }
    // Another worker was faster; its repository may appear a moment later.
    for (int attempt = 0; attempt < k_appear_attempts; ++attempt) {
      BUILDER_TRY_ASSIGN(auto made, describe(job, name));
      if (made) {
        return *std::move(made);
      }
      if (!sleep_for(k_appear_interval, job.stop)) {
        return failure(ErrorKind::cancelled, "stopped");
      }
    }
    return failure(ErrorKind::unavailable, "ECR has repository " + name + " and does not show it");
  }

  static Result<std::string> uri_of(const json& described) {
    const auto list = described.find("repositories");
    if (list == described.end() || !list->is_array() || list->empty()) {
      return failure(ErrorKind::internal, "ECR describes no repository");
    }
    return text_of(list->front(), "repositoryUri");
  }

  /// A repository without the policy still takes images: trouble here is a warning.
  void put_policy_where_ours(const JobContext& job, const std::string& name, bool created) {
    if (!created) {
      const auto current = call(job, "GetLifecyclePolicy", {{"repositoryName", name}});
      if (current) {
        switch (judge_policy(text_of(*current, "lifecyclePolicyText"), settings_.kept)) {
          case PolicyJudgement::current:
          case PolicyJudgement::operators:
            return;
          case PolicyJudgement::outdated:
            break;
        }
      } else if (current.error().code != "LifecyclePolicyNotFoundException") {
        log_.warning("lifecycle policy of {}: {}", name, current.error().error.message);
        return;
      }
    }
    const auto put =
        call(job, "PutLifecyclePolicy",
             {{"repositoryName", name}, {"lifecyclePolicyText", lifecycle_policy(settings_.kept)}});
    if (!put) {
      log_.warning("lifecycle policy of {}: {}", name, put.error().error.message);
    }
  }

  const RegistrySettings settings_;
  Api& api_;
  Logins& logins_;
  oci::Client& client_;
  const Log log_;
  Sync<std::map<std::string, Known>> remembered_;
  Sync<std::string> refused_;  ///< The last repository that could not be had; empty: none.
};

}  // namespace

std::unique_ptr<ports::Registry> make_registry(RegistrySettings settings, Api& api, Logins& logins,
                                               oci::Client& client, Log log) {
  return std::make_unique<EcrRegistry>(settings, api, logins, client, std::move(log));
}

}  // namespace builder::adapters::ecr
