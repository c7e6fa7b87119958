#pragma once

#include "base/result.hpp"
#include "base/secret.hpp"
#include "domain/deployment_request.hpp"

#include <string>
#include <string_view>

namespace builder::domain {

/// What to fetch, checked: safe to hand to git as arguments.
struct SourceSpec {
  std::string base;  ///< The provider's URL, http or https, never with credentials.
  std::string url;   ///< `<base>/<owner>/<repository>.git`
  std::string username;
  Secret password;       ///< Empty: anonymous.
  std::string branch;    ///< A valid branch name; never starts with `-`. Empty: the default one.
  std::string commit;    ///< Lower-case hex, 7..64 digits; empty: head of the branch.
  ServiceId service_id;  ///< Mirrors are kept per service, so that no service reads another's.
};

/// The clone URL and revision of a request, by the contract's rules. Refuses (`invalid_input`, with
/// the customer's line set) everything that could be an option, leave the URL's path, or name
/// another transport than http and https. `github_url` has no trailing slash.
Result<SourceSpec> resolve_source(const DeploymentRequest& request, std::string_view github_url);

}  // namespace builder::domain
