#pragma once

#include "adapters/http/message.hpp"
#include "base/result.hpp"

namespace builder::adapters::dashboard {

/// What an answer from API_URL means: the one place that decides it. Only the shapes that the
/// platform alone has are its word; whatever else answers (a proxy, a maintenance page, another
/// program) says nothing about a deployment.
///
/// Success: `{"status":"success"}`. Errors:
/// - `denied`: the platform refuses the API key.
/// - `not_found`: the platform says that it does not know the deployment, which it also says while
///   its database is away.
/// - `invalid_input`: this post was refused for what is in it, by the platform or by a firewall in
///   front of it; with other words it may pass.
/// - `internal`: the platform broke over this post, for what is in it or for trouble of its own.
/// - `unavailable`: the platform cannot take posts now. With `Effect::unreached`: it was not the
///   platform that answered.
///
/// The message names the variable to look at.
Result<> classify(const http::Response& response);

}  // namespace builder::adapters::dashboard
