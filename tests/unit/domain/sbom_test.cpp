#include "domain/sbom.hpp"

#include "base/json.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace builder::domain {
namespace {

using testing::HasSubstr;

constexpr const char* k_spdx =
    R"({ "name":"a\"}b", "spdxVersion":"SPDX-2.3","packages":[{"n":[]}]})";

std::string statement(const std::string& type, const std::string& predicate) {
  return R"({"_type":"https://in-toto.io/Statement/v0.1","subject":[{"name":"other"}],)"
         R"("predicateType":")" +
         type + R"(", "predicate": )" + predicate + "}\n";
}

TEST(Sbom, DocumentsAreTakenAsTheyAre) {
  EXPECT_EQ(read_sbom(std::string(" \n") + k_spdx + "\n"), (Sbom{k_spdx_type, k_spdx}));
  const std::string cyclonedx = R"({"components":[],"bomFormat":"CycloneDX","specVersion":"1.4"})";
  EXPECT_EQ(read_sbom(cyclonedx), (Sbom{k_cyclonedx_type, cyclonedx}));
}

TEST(Sbom, OfAStatementOnlyThePredicateIsTaken) {
  // As Docker's Syft scanner writes it.
  EXPECT_EQ(read_sbom(R"({"_type":"https://in-toto.io/Statement/v1",)"
                      R"("predicateType":"https://spdx.dev/Document","subject":null,"predicate":)" +
                      std::string(k_spdx) + "}"),
            (Sbom{k_spdx_type, k_spdx}));
  EXPECT_EQ(read_sbom(statement(std::string(k_spdx_type), k_spdx)), (Sbom{k_spdx_type, k_spdx}));
}

TEST(Sbom, WhatIsNoSbomIsRefused) {
  const std::string spdx(k_spdx_type);
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("7"), std::string("null"), std::string("{}"),
        std::string("{"), std::string(k_spdx) + "}", std::string(k_spdx) + k_spdx,
        std::string(k_spdx).substr(0, 30), statement(spdx, "{}"), statement(spdx, "[]"),
        statement(spdx, "7"), statement("https://slsa.dev/provenance/v1", k_spdx),
        statement(std::string(k_cyclonedx_type), k_spdx), statement("", k_spdx),
        // Said twice: readers would disagree.
        R"({"predicateType":"x",)" + statement(spdx, k_spdx).substr(1),
        R"({"predicate":{},)" + statement(spdx, k_spdx).substr(1),
        // At a depth where nobody looks for it.
        std::string(R"({"a":{"spdxVersion":"SPDX-2.3"}})"),
        std::string(R"({"a":["spdxVersion","SPDX-2.3"]})"),
        std::string(R"({"spdxVersion":"SPDX-3.0"})"),
        std::string(R"({"spdxVersion":"SPDX-2.3","bomFormat":"CycloneDX"})"),
        std::string("{\"spdxVersion\":\"SPDX-2.3\",\"a\":\"\xFF\"}")}) {
    const auto read = read_sbom(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().kind, ErrorKind::invalid_input);
  }
  EXPECT_THAT(
      read_sbom(R"({"spdxVersion":"SPDX-2.3","a":)" + std::string(5'000, '[')).error().message,
      HasSubstr("deep"));
}

TEST(Sbom, AStatementIsAboutTheImage) {
  const auto made = parse_json(
      sbom_statement("r.example.com/a\"b", "sha256:0123", Sbom{k_spdx_type, std::string(k_spdx)}));
  EXPECT_EQ(made["_type"], "https://in-toto.io/Statement/v1");
  EXPECT_EQ(made["predicateType"], k_spdx_type);
  EXPECT_EQ(made["predicate"], parse_json(k_spdx));
  EXPECT_EQ(made["subject"],
            parse_json(R"([{"name":"r.example.com/a\"b","digest":{"sha256":"0123"}}])"));
}

}  // namespace
}  // namespace builder::domain
