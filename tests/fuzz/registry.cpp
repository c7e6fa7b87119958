// What a registry, the platform or AWS answers, and names of images, are read or refused; a login
// is shown to nobody else.
#include "adapters/buildkit/diagnosis/frontend.hpp"
#include "adapters/dashboard/answer.hpp"
#include "adapters/ecr/api_errors.hpp"
#include "adapters/oci/challenge.hpp"
#include "adapters/oci/configured_logins.hpp"
#include "adapters/oci/reference.hpp"
#include "adapters/oci/referrers.hpp"
#include "domain/buildpacks/builder_image.hpp"

#include "fuzz/target.hpp"

#include <nlohmann/json.hpp>

BUILDER_FUZZ(registry) {
  using namespace builder;
  using namespace builder::adapters;
  const int status = 100 + 2 * static_cast<int>(fuzz::take_byte(input));
  if (const auto reference = oci::parse_reference(input)) {
    const auto again = oci::parse_reference(reference->str());
    fuzz::expect(again && again->str() == reference->str(), "another image: " + reference->str());
    fuzz::expect(!reference->host.empty() && !reference->repository.empty() &&
                     !reference->selector().empty(),
                 "a part is missing: " + reference->str());
  }
  if (const auto challenge = oci::parse_challenge(input)) {
    if (oci::may_show_login("registry.example", challenge->realm)) {
      fuzz::expect(challenge->realm.starts_with("https://"),
                   "a login goes out in clear: " + challenge->realm);
      fuzz::expect(challenge->realm.contains("registry.example"),
                   "a login goes elsewhere: " + challenge->realm);
    }
  }
  const nlohmann::json entries = {{{"digest", "sha256:" + std::string(64, 'a')}}};
  if (const auto index = oci::with_entries(input, entries)) {
    fuzz::expect(index->contains(entries[0]["digest"].get<std::string>()), "an entry is lost");
    const auto again = oci::with_entries(*index, entries);
    fuzz::expect(again && *again == *index, "an entry stands there twice");
  }
  static_cast<void>(oci::is_usable_realm("registry.example", input));
  static_cast<void>(oci::parse_auths(input));
  static_cast<void>(buildkit::parse_frontend_rules(input));
  static_cast<void>(domain::buildpacks::is_listed(input, {"docker.io/library/busybox:1"}));
  const http::Response response{.status = status, .headers = {}, .body = std::string(input)};
  static_cast<void>(ecr::error_code(response));
  fuzz::expect(ecr::error_message(response).size() <= 1'000, "words without end");
  const auto answer = dashboard::classify(response);
  fuzz::expect(!answer || response.ok(), "a refusal is a success");
}
