#pragma once

#include "adapters/buildkit/client/connector.hpp"

#include <grpcpp/grpcpp.h>

#include <memory>

namespace builder::adapters::buildkit {

/// Carries a session's connection inside one Control.Session call of `channel`: the daemon speaks
/// HTTP/2 to `server` through it. The call, and with it the session, ends with the link.
Result<std::unique_ptr<SessionLink>> open_tunnel(const std::shared_ptr<grpc::Channel>& channel,
                                                 grpc::Server& server, const Headers& headers);

}  // namespace builder::adapters::buildkit
