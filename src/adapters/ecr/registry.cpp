#include "adapters/ecr/registry.hpp"

#include "adapters/ecr/lifecycle_policy.hpp"
#include "adapters/ecr/refreshed_value.hpp"
#include "adapters/ecr/repository_name.hpp"
#include "base/backoff.hpp"
#include "base/sync.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <openssl/evp.h>

#include <algorithm>
#include <map>
#include <utility>

namespace builder::adapters::ecr {

namespace {

using docker::PushFault;
using nlohmann::json;
using ports::JobContext;
using ports::PublishedImage;
using ports::Repository;
using Clock = std::chrono::steady_clock;
using WallClock = std::chrono::system_clock;

constexpr std::chrono::minutes k_remember_repository{5};
constexpr std::chrono::seconds k_api_limit{60};
constexpr int k_push_attempts = 6;
constexpr BackoffPolicy k_push_backoff{.base = std::chrono::milliseconds(1'000),
                                       .cap = std::chrono::milliseconds(20'000)};
/// A tag of another deployment this old belongs to no build under way.
constexpr std::chrono::hours k_leftover_age{1};
/// A repository that was just created may be unknown for a moment.
constexpr int k_appear_attempts = 10;
constexpr std::chrono::milliseconds k_appear_interval{300};

constexpr std::string_view k_operators_matter =
    "The image registry refused the image; this is the platform's configuration, not your project: "
    "please contact the operator";

struct Token {
  docker::RegistryAuth auth;
  SecretStore::Registration secret;  ///< Redacted as long as anybody uses it.
};

std::string text_of(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<std::string> decode_base64(const std::string& text) {
  std::string out(text.size(), '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) {
    return failure(ErrorKind::internal, "ECR's token is not base64");
  }
  const auto padding = static_cast<std::size_t>(std::count(text.begin(), text.end(), '='));
  out.resize(static_cast<std::size_t>(size) - std::min<std::size_t>(padding, 2));
  return out;
}

class EcrRegistry final : public ports::Registry {
 public:
  EcrRegistry(RegistrySettings settings, Api& api, docker::Engine& engine, SecretStore& secrets,
              Log log)
      : settings_(settings), api_(api), engine_(engine), secrets_(secrets), log_(std::move(log)) {}

  Result<Repository> ensure_repository(const JobContext& job,
                                       const domain::ServiceId& service) override {
    BUILDER_TRY_ASSIGN(const std::string name, repository_name(service));
    // Fetched ahead of the push, which then does not wait for it.
    BUILDER_TRY(operators(token(job)));
    if (auto known = remembered(name)) {
      return *std::move(known);
    }
    auto uri = describe_or_create(job, name);
    if (!uri) {
      return operators(Result<Repository>(std::unexpected(std::move(uri).error())));
    }
    remembered_.lock()->insert_or_assign(name, Known{*uri, Clock::now() + k_remember_repository});
    return Repository{*std::move(uri)};
  }

  Result<PublishedImage> push(const JobContext& job, const Repository& repository,
                              const std::string& tag, domain::EventSink& events) override {
    events.info("Pushing image");
    auto pushed = push_tag(job, repository, tag, &events);
    if (!pushed) {
      return std::unexpected(std::move(pushed).error());
    }
    events.info(fmt::format("Pushed {} ({:.1f} MB uploaded)", pushed->digest,
                            static_cast<double>(pushed->bytes_pushed) / 1e6));
    return PublishedImage{.repository = repository,
                          .tag = tag,
                          .digest = pushed->digest,
                          .bytes_pushed = pushed->bytes_pushed};
  }

  Result<> promote(const JobContext& job, const PublishedImage& image) override {
    BUILDER_TRY(engine_.tag(image.repository.uri + ":" + image.tag, image.repository.uri, "latest",
                            job.stop));
    // All layers are there already: this moves a manifest.
    BUILDER_TRY_ASSIGN(const docker::PushedImage moved,
                       push_tag(job, image.repository, "latest", nullptr));
    if (moved.digest != image.digest) {
      return failure(ErrorKind::internal,
                     "latest became " + moved.digest + " instead of " + image.digest);
    }
    return {};
  }

  void clean_up(const JobContext& job, const Repository& repository,
                const std::string& tag) override {
    const auto images = engine_.images_of(repository.uri, job.stop);
    if (!images) {
      log_.debug("clean-up: {}", images.error().message);
      return;
    }
    remove(job, repository.uri + ":" + tag);
    for (const docker::ImageSummary& image : *images) {
      if (image.tags.empty()) {
        remove(job, image.id);  // What `latest` was before.
        continue;
      }
      for (const std::string& other : image.tags) {
        if (!other.starts_with(repository.uri + ":") || other.ends_with(":latest") ||
            other == repository.uri + ":" + tag) {
          continue;
        }
        const auto tagged = engine_.last_tagged(other, job.stop);
        if (tagged && *tagged && WallClock::now() - **tagged > k_leftover_age) {
          remove(job, other);
        }
      }
    }
  }

 private:
  struct Known {
    std::string uri;
    SteadyTime until;
  };

  std::optional<Repository> remembered(const std::string& name) {
    auto known = remembered_.lock();
    const auto found = known->find(name);
    if (found == known->end() || found->second.until < Clock::now()) {
      return std::nullopt;
    }
    return Repository{found->second.uri};
  }

  std::expected<json, ApiError> call(const JobContext& job, std::string_view operation,
                                     const json& input) {
    return api_.call(operation, input, job.stop,
                     std::min(job.deadline, Clock::now() + k_api_limit));
  }

  Result<std::string> describe_or_create(const JobContext& job, const std::string& name) {
    auto described = call(job, "DescribeRepositories", {{"repositoryNames", {name}}});
    if (described) {
      put_policy_where_ours(job, name, false);
      return uri_of(*described);
    }
    if (described.error().code != "RepositoryNotFoundException") {
      return std::unexpected(std::move(described).error().error);
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
      described = call(job, "DescribeRepositories", {{"repositoryNames", {name}}});
      if (described) {
        return uri_of(*described);
      }
      if (!sleep_for(k_appear_interval, job.stop)) {
        return failure(ErrorKind::cancelled, "stopped");
      }
    }
    return std::unexpected(std::move(described).error().error);
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
        switch (judge_policy(text_of(*current, "lifecyclePolicyText"), settings_.keep_images)) {
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
    const auto put = call(job, "PutLifecyclePolicy",
                          {{"repositoryName", name},
                           {"lifecyclePolicyText", lifecycle_policy(settings_.keep_images)}});
    if (!put) {
      log_.warning("lifecycle policy of {}: {}", name, put.error().error.message);
    }
  }

  Result<std::shared_ptr<const Token>> token(const JobContext& job) {
    return token_.get([&] { return fetch_token(job); }, job.stop, job.deadline);
  }

  Result<RefreshedValue<Token>::Fetched> fetch_token(const JobContext& job) {
    auto answer = call(job, "GetAuthorizationToken", json::object());
    if (!answer) {
      return std::unexpected(std::move(answer).error().error);
    }
    const auto list = answer->find("authorizationData");
    if (list == answer->end() || !list->is_array() || list->empty()) {
      return failure(ErrorKind::internal, "ECR gives no token");
    }
    const std::string encoded = text_of(list->front(), "authorizationToken");
    BUILDER_TRY_ASSIGN(const std::string decoded, decode_base64(encoded));
    // At the first colon: the password may hold more of them.
    const std::size_t colon = decoded.find(':');
    if (colon == std::string::npos) {
      return failure(ErrorKind::internal, "ECR's token has no user");
    }
    auto fetched = std::make_shared<Token>();
    fetched->auth = {decoded.substr(0, colon), Secret(decoded.substr(colon + 1))};
    fetched->secret = secrets_.add(
        {{"registry token", fetched->auth.password}, {"registry token, encoded", Secret(encoded)}});
    const WallClock::time_point now = WallClock::now();
    WallClock::time_point expires = now + std::chrono::hours(12);
    if (const auto at = list->front().find("expiresAt");
        at != list->front().end() && at->is_number()) {
      expires = WallClock::time_point(std::chrono::duration_cast<WallClock::duration>(
          std::chrono::duration<double>(at->get<double>())));
    }
    return RefreshedValue<Token>::Fetched{.value = std::move(fetched),
                                          .refresh_at = now + (expires - now) / 2,
                                          .unusable_at = expires};
  }

  Result<docker::PushedImage> push_tag(const JobContext& job, const Repository& repository,
                                       const std::string& tag, domain::EventSink* events) {
    auto random = make_random();
    bool recreated = false;
    bool renewed = false;
    for (int attempt = 0;; ++attempt) {
      auto current = token(job);
      if (!current) {
        return operators(Result<docker::PushedImage>(std::unexpected(std::move(current).error())));
      }
      auto pushed = engine_.push(repository.uri, tag, (*current)->auth, job.stop, job.deadline);
      if (pushed) {
        return *std::move(pushed);
      }
      docker::PushFailure& failed = pushed.error();
      if (failed.error.kind == ErrorKind::cancelled) {
        return std::unexpected(std::move(failed.error));
      }
      switch (failed.fault) {
        case PushFault::repository_missing:
          if (!recreated) {
            recreated = true;
            const std::string name = name_in_uri(repository.uri);
            remembered_.lock()->erase(name);
            BUILDER_TRY(operators(describe_or_create(job, name)));
            continue;
          }
          break;
        case PushFault::token_expired:
        case PushFault::unauthorized:
          if (!renewed) {
            renewed = true;
            token_.drop(*current);
            continue;
          }
          break;
        case PushFault::registry_busy:
        case PushFault::registry_away:
        case PushFault::engine:
          if (attempt + 1 < k_push_attempts) {
            log_.warning("push failed, trying again: {}", failed.error.message);
            if (events != nullptr) {
              events->warning("The image registry did not take the image; trying again");
            }
            if (!sleep_for(next_delay(k_push_backoff, attempt, std::nullopt, random), job.stop)) {
              return failure(ErrorKind::cancelled, "stopped");
            }
            if (Clock::now() > job.deadline) {
              break;
            }
            continue;
          }
          break;
        default:
          break;
      }
      return operators(Result<docker::PushedImage>(std::unexpected(std::move(failed.error))));
    }
  }

  /// Fills in the customer's line of what only the operator can mend.
  template <class T>
  static Result<T> operators(Result<T> result) {
    if (!result && result.error().customer.empty() && result.error().kind != ErrorKind::cancelled) {
      result.error().customer =
          result.error().is_transient()
              ? "The image registry could not be reached; please deploy again in a few minutes"
              : std::string(k_operators_matter);
    }
    return result;
  }

  void remove(const JobContext& job, const std::string& image) {
    if (const auto removed = engine_.remove(image, job.stop); !removed) {
      log_.debug("clean-up of {}: {}", image, removed.error().message);
    }
  }

  const RegistrySettings settings_;
  Api& api_;
  docker::Engine& engine_;
  SecretStore& secrets_;
  const Log log_;
  RefreshedValue<Token> token_;
  Sync<std::map<std::string, Known>> remembered_;
};

}  // namespace

std::unique_ptr<ports::Registry> make_registry(RegistrySettings settings, Api& api,
                                               docker::Engine& engine, SecretStore& secrets,
                                               Log log) {
  return std::make_unique<EcrRegistry>(settings, api, engine, secrets, std::move(log));
}

}  // namespace builder::adapters::ecr
