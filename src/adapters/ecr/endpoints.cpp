#include "adapters/ecr/endpoints.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace builder::adapters::ecr {
namespace {

struct Partition {
  std::string_view regions;  ///< Their names begin so.
  std::string_view domain;
  std::string_view dual_stack;
};

constexpr std::array<Partition, 2> k_partitions{{
    {"cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"},
    {"eusc-", "amazonaws.eu", "api.amazonwebservices.eu"},
}};
constexpr Partition k_others{"", "amazonaws.com", "api.aws"};  // GovCloud's too.

std::string_view domain_of(const EndpointChoice& choice) {
  const auto* const found = std::ranges::find_if(k_partitions, [&](const Partition& partition) {
    return choice.region.starts_with(partition.regions);
  });
  const Partition& partition = found == k_partitions.end() ? k_others : *found;
  return choice.dual_stack ? partition.dual_stack : partition.domain;
}

}  // namespace

std::string api_endpoint(std::string_view configured, const EndpointChoice& choice) {
  return configured.empty()
             ? fmt::format("https://{}ecr{}.{}.{}", choice.dual_stack ? "" : "api.",
                           choice.fips ? "-fips" : "", choice.region, domain_of(choice))
             : std::string(configured);
}

std::string kms_endpoint(std::string_view configured, const EndpointChoice& choice) {
  return configured.empty() ? fmt::format("https://kms{}.{}.{}", choice.fips ? "-fips" : "",
                                          choice.region, domain_of(choice))
                            : std::string(configured);
}

std::string sts_endpoint(std::string_view configured, const EndpointChoice& choice) {
  return configured.empty() ? fmt::format("https://sts{}.{}.{}", choice.fips ? "-fips" : "",
                                          choice.region, domain_of(choice))
                            : std::string(configured);
}

std::string host_header(std::string_view url) {
  const auto mark = url.find("://");
  auto host = mark == std::string_view::npos ? url : url.substr(mark + 3);
  host = host.substr(0, host.find('/'));
  // The signature covers the header, and libcurl leaves a default port out of it.
  if (url.starts_with("https://") && host.ends_with(":443")) {
    host.remove_suffix(4);
  } else if (url.starts_with("http://") && host.ends_with(":80")) {
    host.remove_suffix(3);
  }
  return std::string(host);
}

}  // namespace builder::adapters::ecr
