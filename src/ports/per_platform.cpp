#include "ports/per_platform.hpp"

#include "domain/customer_line.hpp"

#include <fmt/format.h>

namespace builder::ports {

Error of_platform(Error error, const std::string& platform) {
  error = std::move(error).with_context(platform);
  if (!error.customer.empty() && !error.customer.contains(platform)) {
    error.customer = domain::customer_line(fmt::format("[{}] {}", platform, error.customer));
  }
  return error;
}

void TakenBases::add(const std::optional<std::vector<domain::BaseImage>>& bases,
                     const std::vector<domain::BaseImage>& tagged) {
  are_known_ = are_known_ && bases;
  for (const auto& base : bases.value_or(std::vector<domain::BaseImage>())) {
    const auto [known, is_new] = bases_.emplace(base.name, base.digest);
    are_known_ = are_known_ && (is_new || known->second == base.digest);
  }
  for (const auto& base : tagged) {
    const auto [known, is_new] = tagged_.emplace(base.name, base.digest);
    if (!is_new && known->second != base.digest) {
      several_.insert(base.name);
    }
  }
}

void TakenBases::tell(PublishResult& result) const {
  if (are_known_) {
    result.bases.emplace();
    for (const auto& [name, digest] : bases_) {
      result.bases->push_back({.name = name, .digest = digest});
    }
  }
  for (const auto& [name, digest] : tagged_) {
    if (!several_.contains(name)) {
      result.tagged.push_back({.name = name, .digest = digest});
    }
  }
}

}  // namespace builder::ports
