#include "domain/variable_delivery.hpp"

#include <gtest/gtest.h>

namespace builder::domain {
namespace {

using Variables = std::vector<EnvironmentVariable>;
using Arguments = std::map<std::string, std::string>;
using Names = std::vector<std::string>;

constexpr const char* k_token = "npm_7Hq2LzP9xWv4Tn8RkYb3";

Names names_of(const std::map<std::string, Secret>& secrets) {
  Names names;
  for (const auto& [name, value] : secrets) {
    names.push_back(name);
  }
  return names;
}

TEST(Deliver, OffersEachAsASecretAndNoSecretAsAnArgument) {
  const auto delivered = deliver({{"NODE_ENV", "production"},
                                  {"NPM_TOKEN", k_token},
                                  {"DATABASE_URL", "postgres://shop:hunter22@db/shop"},
                                  {"NEXT_PUBLIC_KEY", "pk_live_7Hq2LzP9xWv4Tn8RkYb3"},
                                  {"EMPTY", ""}},
                                 {});
  EXPECT_EQ(names_of(delivered.secrets),
            (Names{"DATABASE_URL", "EMPTY", "NEXT_PUBLIC_KEY", "NODE_ENV", "NPM_TOKEN"}));
  EXPECT_EQ(delivered.secrets.at("NPM_TOKEN").reveal(), k_token);
  EXPECT_EQ(delivered.arguments, (Arguments{{"EMPTY", ""},
                                            {"NEXT_PUBLIC_KEY", "pk_live_7Hq2LzP9xWv4Tn8RkYb3"},
                                            {"NODE_ENV", "production"}}));
  EXPECT_EQ(delivered.withheld, (Names{"DATABASE_URL", "NPM_TOKEN"}));
}

TEST(Deliver, TheCustomerMayListWhatLooksSecret) {
  const Variables variables{{"NPM_TOKEN", k_token},
                            {"API_KEY", k_token},
                            {"DEPLOYRA_BUILD_ARGS", "API_KEY"},
                            {"DEPLOYRA_BUILD_ARGS", " NPM_TOKEN,\n OTHER"}};
  const auto delivered = deliver(variables, {});
  EXPECT_EQ(delivered.arguments, (Arguments{{"NPM_TOKEN", k_token}}));
  EXPECT_EQ(delivered.withheld, Names{"API_KEY"}) << "the last list counts";
  EXPECT_FALSE(delivered.secrets.contains("DEPLOYRA_BUILD_ARGS"));
  EXPECT_EQ(of_the_app(variables).size(), 2u);
}

TEST(Deliver, NothingSteersTheFrontend) {
  Variables variables;
  for (const char* name :
       {"BUILDKIT_SYNTAX", "BUILDKIT_CACHE_MOUNT_NS", "BUILDKIT_INLINE_CACHE", "buildkit_syntax",
        "HTTP_PROXY", "https_proxy", "No_Proxy", "ALL_PROXY", "SOURCE_DATE_EPOCH", "TARGETPLATFORM",
        "BUILDARCH", "a.b", "1A", "A B", "A=B", "", "Ä"}) {
    variables.push_back({name, "x"});
  }
  const auto delivered = deliver(variables, {});
  EXPECT_EQ(delivered.arguments, Arguments());
  EXPECT_EQ(delivered.withheld, Names());
  EXPECT_TRUE(delivered.secrets.contains("HTTP_PROXY")) << "which steers nothing";
  EXPECT_FALSE(delivered.secrets.contains("A=B"));
}

TEST(Deliver, TheOperatorChoosesTheWays) {
  const Variables variables{{"A", "1"}, {"TOKEN", k_token}};
  EXPECT_TRUE(deliver(variables, {.secret = false}).secrets.empty());
  const auto no_arguments = deliver(variables, {.argument = false});
  EXPECT_TRUE(no_arguments.arguments.empty());
  EXPECT_TRUE(no_arguments.withheld.empty()) << "nothing is said of what is not offered";
}

TEST(Deliver, LeavesOutWhatBuildKitWouldRefuse) {
  const std::string large(500 * 1024, 'x');
  const auto delivered =
      deliver({{"JUST", large}, {"OVER", large + "x"}, {"NUL", {"a\0b", 3}}}, {});
  EXPECT_EQ(names_of(delivered.secrets), Names{"JUST"});
  EXPECT_FALSE(delivered.arguments.contains("NUL"));
  EXPECT_EQ(deliver({{"A", "1"}, {"A", "2"}}, {}).arguments, (Arguments{{"A", "2"}}));
}

TEST(ForBuildpacks, AreThoseThatTheCustomerLists) {
  const Variables variables{{"A", "1"}, {"B", "2"}, {"DEPLOYRA_BUILD_ENV", "B DEPLOYRA_BUILD_ENV"}};
  const auto chosen = for_buildpacks(variables);
  ASSERT_EQ(chosen.size(), 1u);
  EXPECT_EQ(chosen[0].key, "B");
  EXPECT_TRUE(for_buildpacks({{"A", "1"}}).empty());
}

}  // namespace
}  // namespace builder::domain
