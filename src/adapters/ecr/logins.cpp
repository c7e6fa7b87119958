#include "adapters/ecr/logins.hpp"

#include "base/json.hpp"
#include "base/text.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace builder::adapters::ecr {

namespace {

using nlohmann::json;
using WallClock = std::chrono::system_clock;

struct Token {
  ports::RegistryLogin login;
  SecretStore::Registration secret;  ///< Redacted as long as anybody uses it.
};

/// The host of `https://host[:port][/…]`.
std::string host_of(const std::string& endpoint) {
  const auto mark = endpoint.find("://");
  const std::string rest = mark == std::string::npos ? endpoint : endpoint.substr(mark + 3);
  return rest.substr(0, rest.find('/'));
}

}  // namespace

Result<ports::SharedLogin> Logins::login(const ports::JobContext& job, const std::string& host) {
  if (auto hosts = hosts_.lock(); !hosts->empty() && !hosts->contains(host)) {
    return nullptr;
  }
  BUILDER_TRY_ASSIGN(ports::SharedLogin current,
                     token_.get([&] { return fetch(job); }, job.stop, job.deadline));
  return hosts_.lock()->contains(host) ? std::move(current) : nullptr;
}

Result<std::string> Logins::own_host(const ports::JobContext& job) {
  BUILDER_TRY(token_.get([&] { return fetch(job); }, job.stop, job.deadline));
  auto hosts = hosts_.lock();
  if (hosts->empty()) {
    return failure(ErrorKind::internal, "ECR does not say where its registry is");
  }
  return *hosts->begin();
}

void Logins::renew(const std::string& /*host*/, const ports::SharedLogin& refused) {
  token_.drop(refused);
}

void Logins::add_host(const std::string& host) {
  hosts_.lock()->insert(host);
}

Result<Logins::Kept::Fetched> Logins::fetch(const ports::JobContext& job) {
  auto answer = api_.call("GetAuthorizationToken", json::object(), job.stop,
                          job.within(k_call_limit).deadline);
  if (!answer) {
    return std::unexpected(std::move(answer).error().error);
  }
  const auto list = answer->find("authorizationData");
  if (list == answer->end() || !list->is_array() || list->empty() || !list->front().is_object()) {
    return failure(ErrorKind::internal, "ECR gives no token");
  }
  const json& data = list->front();
  const std::string encoded = text_of(data, "authorizationToken");
  const auto decoded = base64_decode(encoded);
  // At the first colon: the password may hold more of them.
  const std::size_t colon = decoded ? decoded->find(':') : std::string::npos;
  if (colon == std::string::npos) {
    return failure(ErrorKind::internal, "ECR's token is not the base64 of user:password");
  }
  auto token = std::make_shared<Token>();
  token->login = {.username = decoded->substr(0, colon),
                  .password = Secret(decoded->substr(colon + 1))};
  token->secret = secrets_.add({{"registry token", token->login.password}});
  if (const std::string host = host_of(text_of(data, "proxyEndpoint")); !host.empty()) {
    add_host(host);
  }
  const WallClock::time_point now = WallClock::now();
  WallClock::time_point expires = now + std::chrono::hours(12);
  if (const auto at = data.find("expiresAt"); at != data.end() && at->is_number()) {
    expires = WallClock::time_point(std::chrono::duration_cast<WallClock::duration>(
        std::chrono::duration<double>(at->get<double>())));
  }
  const ports::RegistryLogin* login = &token->login;
  return Kept::Fetched{.value = {std::move(token), login},
                       .refresh_at = now + (expires - now) / 2,
                       .unusable_at = expires};
}

}  // namespace builder::adapters::ecr
