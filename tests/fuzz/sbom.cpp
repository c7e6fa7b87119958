// What a scanner or a buildpack says is in an image: it is taken as it stands or refused, and what
// it says of itself changes nothing in the statement about the image.
#include "domain/sbom.hpp"

#include "base/json.hpp"

#include "fuzz/target.hpp"

BUILDER_FUZZ(sbom) {
  using namespace builder;
  const auto sbom = domain::read_sbom(input);
  if (!sbom) {
    return;
  }
  fuzz::expect(input.contains(sbom->document), "a document that nobody wrote");
  const auto document = parse_json(sbom->document);
  const auto statement = parse_json(domain::sbom_statement("r/s", "sha256:00", *sbom));
  fuzz::expect(document.is_object() && statement.is_object() && statement.size() == 4,
               "a document that leaves its place");
  fuzz::expect(statement["predicate"] == document, "another document");
  fuzz::expect(statement["subject"][0]["name"] == "r/s", "another image");
}
