#include "adapters/policy/policy.hpp"

#include "base/ascii.hpp"
#include "base/text.hpp"
#include "domain/base_image.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace builder::adapters::policy {

namespace {

constexpr std::size_t k_shown_image = 60;
constexpr std::size_t k_shown_patterns = 3;

std::string in_words(const std::vector<ImageRule>& rules) {
  std::string words;
  std::size_t count = 0;
  for (const ImageRule& rule : rules) {
    for (const ImagePattern& pattern : rule.images) {
      if (count == k_shown_patterns) {
        return words + ", …";
      }
      words += (count++ == 0 ? "" : ", ") + printable_line(pattern.written, k_shown_image);
    }
  }
  return words;
}

}  // namespace

std::string_view name_of(Refused refused) {
  switch (refused) {
    case Refused::add_url:
      return "add-url";
    case Refused::network_host:
      return "network-host";
    case Refused::onbuild:
      return "onbuild";
    case Refused::security_insecure:
      return "security-insecure";
  }
  std::unreachable();
}

bool ImagePattern::fits(const oci::Reference& image) const {
  return host.empty() ||
         (host == lower_case(image.host) &&
          (is_folder() ? image.repository.starts_with(path) : image.repository == path));
}

std::string shown(const oci::Reference& image) {
  return printable_line(domain::familiar_name(oci::for_engine(image)), k_shown_image);
}

std::expected<const ImageRule*, std::string> Policy::rule_for(const oci::Reference& image) const {
  if (images.empty()) {
    return nullptr;
  }
  const auto rule = std::ranges::find_if(images, [&](const ImageRule& one) {
    return std::ranges::any_of(one.images,
                               [&](const ImagePattern& pattern) { return pattern.fits(image); });
  });
  if (rule == images.end()) {
    return std::unexpected(fmt::format("the policy allows no image {}; use one of {}", shown(image),
                                       in_words(images)));
  }
  if (rule->digest && image.digest.empty()) {
    return std::unexpected(
        fmt::format("the policy \"{}\" wants {} with its digest: write {}@sha256:…", rule->name,
                    shown(image), shown(image)));
  }
  return &*rule;
}

}  // namespace builder::adapters::policy
