#pragma once

#include <string>
#include <string_view>

namespace builder::adapters::ecr {

/// Which of AWS's endpoints are used: where, and of which kind.
struct EndpointChoice {
  std::string region;
  bool fips = false;
  bool dual_stack = false;
};

/// The URL of ECR's API; `configured` when it is not empty. With the names of every partition
/// (China, GovCloud, the European Sovereign Cloud).
std::string api_endpoint(std::string_view configured, const EndpointChoice& choice);

/// The same for KMS.
std::string kms_endpoint(std::string_view configured, const EndpointChoice& choice);

/// The same for STS, which hands out the keys of roles.
std::string sts_endpoint(std::string_view configured, const EndpointChoice& choice);

/// The Host header that goes with a URL, which the signature covers.
std::string host_header(std::string_view url);

}  // namespace builder::adapters::ecr
