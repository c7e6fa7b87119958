#pragma once

#include "adapters/http/message.hpp"
#include "base/secret.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace builder::adapters::ecr {

struct SigningKey {
  std::string access_key_id;
  Secret secret_access_key;
  Secret session_token;  ///< Empty for long-lived keys.
};

/// What is signed. `path` and the query's parts are percent-encoded as they go on the wire;
/// `headers` are those that are signed and must hold `Host` as sent.
struct SignableRequest {
  std::string method;
  std::string path = "/";
  std::vector<http::Header> query = {};
  std::vector<http::Header> headers;
  std::string body;
};

/// AWS Signature Version 4: the headers to add to the request (X-Amz-Date, X-Amz-Security-Token
/// for temporary keys, Authorization). libcurl's own signer cannot be told the time, which a
/// skewed clock needs.
std::vector<http::Header> sign(const SignableRequest& request, const SigningKey& key,
                               const std::string& region, const std::string& service,
                               std::chrono::system_clock::time_point now);

}  // namespace builder::adapters::ecr
